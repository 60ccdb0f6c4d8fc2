-- ProximityCellMatch: for every source unit and every stack that both scans are registered in,
-- the nearest soma of the later scan (Euclidean distance in the stack, µm).
-- Space is cut into cubes of $cube µm. A soma nearer than that lies in a unit's own cube or beside it, so that
-- only units without one have to be compared with every soma: the answer is that of comparing all with all.
WITH
source_position AS (
    SELECT
        stack_session,
        stack_idx,
        unit_id AS source_unit_id,
        stack_x,
        stack_y,
        stack_z,
        TRY_CAST(floor(stack_x / $cube) AS BIGINT) AS cube_x,
        TRY_CAST(floor(stack_y / $cube) AS BIGINT) AS cube_y,
        TRY_CAST(floor(stack_z / $cube) AS BIGINT) AS cube_z
    FROM source_coordinates
    SEMI JOIN source_unit USING (unit_id)
),
later_position AS (
    SELECT
        stack_session,
        stack_idx,
        unit_id,
        stack_x,
        stack_y,
        stack_z,
        TRY_CAST(floor(stack_x / $cube) AS BIGINT) AS cube_x,
        TRY_CAST(floor(stack_y / $cube) AS BIGINT) AS cube_y,
        TRY_CAST(floor(stack_z / $cube) AS BIGINT) AS cube_z
    FROM later_coordinates
    SEMI JOIN later_soma USING (unit_id)
),
step AS (SELECT unnest([-1, 0, 1]) AS step),
-- every soma is entered into its own cube and the 26 around it
entered AS (
    SELECT
        later_position.* REPLACE (cube_x + x.step AS cube_x, cube_y + y.step AS cube_y, cube_z + z.step AS cube_z)
    FROM later_position, step AS x, step AS y, step AS z
),
near_offset_um AS (
    SELECT
        stack_session,
        stack_idx,
        source_unit_id,
        unit_id,
        entered.stack_x - source_position.stack_x AS dx,
        entered.stack_y - source_position.stack_y AS dy,
        entered.stack_z - source_position.stack_z AS dz
    FROM source_position
    JOIN entered USING (stack_session, stack_idx, cube_x, cube_y, cube_z)
),
near AS (
    SELECT
        stack_session,
        stack_idx,
        source_unit_id,
        -- the smallest pair: nearest first, then the smaller id
        min({'match_distance': sqrt(dx * dx + dy * dy + dz * dz), 'unit_id': unit_id}) AS best
    FROM near_offset_um
    WHERE sqrt(dx * dx + dy * dy + dz * dz) < $cube
    GROUP BY stack_session, stack_idx, source_unit_id
),
far_offset_um AS (
    SELECT
        stack_session,
        stack_idx,
        source_unit_id,
        unit_id,
        later_position.stack_x - source_position.stack_x AS dx,
        later_position.stack_y - source_position.stack_y AS dy,
        later_position.stack_z - source_position.stack_z AS dz
    FROM source_position
    ANTI JOIN near USING (stack_session, stack_idx, source_unit_id)
    JOIN later_position USING (stack_session, stack_idx)
),
far AS (
    SELECT
        stack_session,
        stack_idx,
        source_unit_id,
        min({'match_distance': sqrt(dx * dx + dy * dy + dz * dz), 'unit_id': unit_id}) AS best
    FROM far_offset_um
    GROUP BY stack_session, stack_idx, source_unit_id
)
SELECT
    stack_session,
    stack_idx,
    source_unit_id,
    best.unit_id AS unit_id,
    best.match_distance AS match_distance
FROM (FROM near UNION ALL FROM far)
ORDER BY stack_session, stack_idx, source_unit_id

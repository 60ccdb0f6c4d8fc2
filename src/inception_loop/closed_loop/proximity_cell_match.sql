-- ProximityCellMatch: for every source unit and every stack that both scans are registered in,
-- the nearest soma of the later scan (Euclidean distance in the stack, µm).
WITH
source_position AS (
    SELECT stack_session, stack_idx, unit_id AS source_unit_id, stack_x, stack_y, stack_z
    FROM source_coordinates
    SEMI JOIN source_unit USING (unit_id)
),
later_position AS (
    SELECT stack_session, stack_idx, unit_id, stack_x, stack_y, stack_z
    FROM later_coordinates
    SEMI JOIN later_soma USING (unit_id)
),
offset_um AS (
    SELECT
        stack_session,
        stack_idx,
        source_unit_id,
        unit_id,
        later_position.stack_x - source_position.stack_x AS dx,
        later_position.stack_y - source_position.stack_y AS dy,
        later_position.stack_z - source_position.stack_z AS dz
    FROM source_position
    JOIN later_position USING (stack_session, stack_idx)
),
nearest AS (
    SELECT
        stack_session,
        stack_idx,
        source_unit_id,
        -- the smallest pair: nearest first, then the smaller id
        min({'match_distance': sqrt(dx * dx + dy * dy + dz * dz), 'unit_id': unit_id}) AS best
    FROM offset_um
    GROUP BY stack_session, stack_idx, source_unit_id
)
SELECT
    stack_session,
    stack_idx,
    source_unit_id,
    best.unit_id AS unit_id,
    best.match_distance AS match_distance
FROM nearest
ORDER BY stack_session, stack_idx, source_unit_id

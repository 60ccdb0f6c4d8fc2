-- BestProximityCellMatch: over all stacks the unit matched most often;
-- ties go to the smaller mean distance, then to the smaller id.
WITH
vote AS (
    SELECT
        source_unit_id,
        unit_id,
        count(*) AS match_freq,
        sum(match_distance ORDER BY stack_session, stack_idx) / count(*) AS mean_distance
    FROM proximity_cell_match
    GROUP BY source_unit_id, unit_id
),
stack_count AS (
    SELECT source_unit_id, count(*) AS total_stacks
    FROM proximity_cell_match
    GROUP BY source_unit_id
),
best AS (
    SELECT source_unit_id, unit_id, match_freq, mean_distance
    FROM vote
    QUALIFY row_number() OVER (
        PARTITION BY source_unit_id ORDER BY match_freq DESC, mean_distance, unit_id
    ) = 1
)
SELECT
    source_unit_id,
    unit_id,
    match_freq,
    total_stacks,
    mean_distance,
    count(*) OVER (PARTITION BY unit_id) > 1 AS double_match
FROM best
JOIN stack_count USING (source_unit_id)
ORDER BY source_unit_id

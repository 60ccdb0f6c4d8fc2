-- CellMatchOracleCorrelation: correlation of repeat-averaged z-scored responses to the images that both
-- scans showed more than $more_than times, source units × matched units.
WITH
source_sample AS (
    SELECT trial_idx, condition_hash, unnest($source_unit_ids) AS unit_id, unnest(picked)::DOUBLE AS response
    FROM (
        SELECT trial_idx, condition_hash, list_select(response, $source_columns) AS picked
        FROM source_response
        ANTI JOIN source_excluded_trial USING (trial_idx)
    )
),
later_sample AS (
    SELECT trial_idx, condition_hash, unnest($later_unit_ids) AS unit_id, unnest(picked)::DOUBLE AS response
    FROM (
        SELECT trial_idx, condition_hash, list_select(response, $later_columns) AS picked
        FROM later_response
        ANTI JOIN later_excluded_trial USING (trial_idx)
    )
),
sample AS (
    SELECT 'source' AS day, * FROM source_sample
    UNION ALL
    SELECT 'later' AS day, * FROM later_sample
),
scan_pilot AS (
    SELECT day, unit_id, quantile_disc(response, 0.5) AS pilot
    FROM sample
    GROUP BY day, unit_id
),
scan_sum AS (
    SELECT
        day,
        unit_id,
        any_value(pilot) AS pilot,
        count(*) AS n,
        sum(response - pilot ORDER BY trial_idx) AS s1,
        sum((response - pilot) * (response - pilot) ORDER BY trial_idx) AS s2
    FROM sample
    JOIN scan_pilot USING (day, unit_id)
    GROUP BY day, unit_id
),
scan_statistics AS (
    SELECT day, unit_id, pilot, s1 / n AS mean_offset, sqrt((s2 - s1 * s1 / n) / (n - 1)) AS std
    FROM scan_sum
    WHERE n > 1 AND s2 - s1 * s1 / n > 0
),
repeat_mean AS (
    SELECT
        day,
        unit_id,
        condition_hash,
        count(*) AS n_repeats,
        sum((response - pilot - mean_offset) / std ORDER BY trial_idx) / count(*) AS response
    FROM sample
    JOIN scan_statistics USING (day, unit_id)
    GROUP BY day, unit_id, condition_hash
),
shared_image AS (
    SELECT condition_hash
    FROM repeat_mean
    GROUP BY condition_hash
    HAVING count(DISTINCT day) = 2 AND min(n_repeats) > $more_than
),
tuning AS (
    SELECT day, unit_id, list(response ORDER BY condition_hash) AS response
    FROM repeat_mean
    SEMI JOIN shared_image USING (condition_hash)
    GROUP BY day, unit_id
),
centred AS (
    SELECT day, unit_id, list_transform(response, lambda x : x - list_avg(response)) AS response
    FROM tuning
),
direction AS (
    SELECT
        day,
        unit_id,
        response,
        len(response) AS n_images,
        sqrt(list_inner_product(response, response)) AS norm
    FROM centred
)
SELECT
    source.unit_id AS source_unit_id,
    later.unit_id AS unit_id,
    cell_match.source_unit_id IS NOT NULL AS matched,
    source.n_images,
    CASE
        WHEN source.norm > 0 AND later.norm > 0
            THEN greatest(
                -1,
                least(1, list_inner_product(source.response, later.response) / source.norm / later.norm)
            )
    END AS correlation
FROM (FROM direction WHERE day = 'source') AS source
CROSS JOIN (FROM direction WHERE day = 'later') AS later
LEFT JOIN cell_match
    ON cell_match.source_unit_id = source.unit_id AND cell_match.unit_id = later.unit_id
ORDER BY source.unit_id, later.unit_id

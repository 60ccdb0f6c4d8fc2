-- OwnResponse of one scan: trial by trial, what each matched cell answers to the images of its own unit.
-- Scaled as ZScoreConfusion scales, to the last bit: the same sums, in the order of the trials.
WITH
kept_trial AS (
    SELECT
        trial_idx,
        condition_hash,
        -- cut the wanted units out before unnest: a row may hold ten thousand
        list_select(response, $columns) AS picked
    FROM response
    ANTI JOIN excluded_trial USING (trial_idx)
),
sample AS (
    SELECT
        trial_idx,
        condition_hash,
        unnest($unit_ids) AS unit_id,
        unnest(picked)::DOUBLE AS response
    FROM kept_trial
),
scan_pilot AS (
    SELECT unit_id, quantile_disc(response, 0.5) AS pilot
    FROM sample
    GROUP BY unit_id
),
scan_sum AS (
    SELECT
        unit_id,
        any_value(pilot) AS pilot,
        count(*) AS n,
        sum(response - pilot ORDER BY trial_idx) AS s1,
        sum((response - pilot) * (response - pilot) ORDER BY trial_idx) AS s2
    FROM sample
    JOIN scan_pilot USING (unit_id)
    GROUP BY unit_id
),
scan_statistics AS (
    SELECT unit_id, pilot, s1 / n AS mean_offset, sqrt((s2 - s1 * s1 / n) / (n - 1)) AS std
    FROM scan_sum
    WHERE n > 1 AND s2 - s1 * s1 / n > 0
),
own_image AS (
    SELECT image.condition_hash, image.model_type, cell_match.source_unit_id, cell_match.unit_id
    FROM image
    JOIN cell_match ON cell_match.source_unit_id = image.image_unit_id
)
SELECT
    $animal_id::BIGINT AS animal_id,
    $session::BIGINT AS session,
    $scan_idx::BIGINT AS scan_idx,
    model_type,
    source_unit_id,
    sample.unit_id,
    condition_hash,
    trial_idx,
    response,
    (response - pilot - mean_offset) / std AS z_response
FROM sample
JOIN own_image USING (unit_id, condition_hash)
JOIN scan_statistics USING (unit_id)
ORDER BY model_type, source_unit_id, trial_idx

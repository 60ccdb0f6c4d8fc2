-- NormalizedConfusion ($center = false) and ZScoreConfusion ($center = true) of one scan.
-- Goes on from scan_statistics.sql; sums about a pilot as there.
shown AS (
    SELECT image.model_type, image.image_unit_id, sample.unit_id, sample.trial_idx, sample.response
    FROM sample
    JOIN image USING (condition_hash)
),
scaled AS (
    SELECT
        model_type,
        image_unit_id,
        unit_id,
        trial_idx,
        -- what is taken off first comes back as the base: responses / std alone would round it
        CASE WHEN $center THEN (response - pilot - mean_offset) / std ELSE (response - pilot) / std END
            AS response,
        CASE WHEN $center THEN 0 ELSE pilot / std END AS base
    FROM shown
    JOIN scan_statistics USING (unit_id)
),
pair_pilot AS (
    SELECT model_type, image_unit_id, unit_id, quantile_disc(response, 0.5) AS pilot
    FROM scaled
    GROUP BY model_type, image_unit_id, unit_id
),
pair_sum AS (
    SELECT
        model_type,
        image_unit_id,
        unit_id,
        any_value(base) AS base,
        any_value(pilot) AS pilot,
        count(*) AS n_repeats,
        sum(response - pilot ORDER BY trial_idx) AS s1,
        sum((response - pilot) * (response - pilot) ORDER BY trial_idx) AS s2
    FROM scaled
    JOIN pair_pilot USING (model_type, image_unit_id, unit_id)
    GROUP BY model_type, image_unit_id, unit_id
)
SELECT
    $animal_id::BIGINT AS animal_id,
    $session::BIGINT AS session,
    $scan_idx::BIGINT AS scan_idx,
    model_type,
    image_unit_id,
    cell_match.source_unit_id,
    pair_sum.unit_id,
    base + (pilot + s1 / n_repeats) AS mu_resp,
    greatest(s2 - s1 * s1 / n_repeats, 0) / n_repeats AS var_resp,
    n_repeats,
    base AS pilot_resp,
    pilot + s1 / n_repeats AS offset_resp
FROM pair_sum
JOIN cell_match USING (unit_id)
ORDER BY model_type, image_unit_id, cell_match.source_unit_id

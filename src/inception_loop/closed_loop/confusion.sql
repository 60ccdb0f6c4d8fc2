-- NormalizedConfusion ($center = false) and ZScoreConfusion ($center = true) of one scan.
-- Sums run in the order of the trials and about a pilot value, so that neither the plan nor a large
-- common offset of the responses changes the result. The pilot is the median: no further from the mean than
-- one s.d., so that s2 − s1²/n loses no digits whatever the responses are.
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

-- Moments of plain trials, scan by scan, in the columns of NormalizedConfusion and ZScoreConfusion, so that
-- they are pooled as these are; summed as these are, in the order of the rows.
WITH
pair_pilot AS (
    SELECT model_type, image_unit_id, source_unit_id, scan_idx, quantile_disc(response, 0.5) AS pilot
    FROM trial
    GROUP BY model_type, image_unit_id, source_unit_id, scan_idx
),
pair_sum AS (
    SELECT
        model_type,
        image_unit_id,
        source_unit_id,
        scan_idx,
        any_value(pilot) AS pilot,
        count(*) AS n_repeats,
        sum(response - pilot ORDER BY place) AS s1,
        sum((response - pilot) * (response - pilot) ORDER BY place) AS s2
    FROM trial
    JOIN pair_pilot USING (model_type, image_unit_id, source_unit_id, scan_idx)
    GROUP BY model_type, image_unit_id, source_unit_id, scan_idx
)
SELECT
    model_type,
    image_unit_id,
    source_unit_id,
    0 AS session,
    scan_idx,
    greatest(s2 - s1 * s1 / n_repeats, 0) / n_repeats AS var_resp,
    n_repeats,
    -- z-scores count from 0, as those of the stage do, to the last bit; large responses from near them
    1024 * trunc(pilot / 1024) AS pilot_resp,
    (pilot - 1024 * trunc(pilot / 1024)) + s1 / n_repeats AS offset_resp
FROM pair_sum
ORDER BY model_type, image_unit_id, source_unit_id, scan_idx

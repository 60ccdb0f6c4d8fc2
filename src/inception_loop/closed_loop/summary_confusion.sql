-- SummaryConfusion and ZSummaryConfusion: the scans of a loop pooled by exact moment merging, as if all
-- repeats were one sample. Means are kept as pilot + offset, so that differences of scans are exact.
WITH
loop_pilot AS (
    SELECT
        model_type,
        image_unit_id,
        source_unit_id,
        quantile_disc(pilot_resp, 0.5) AS pilot
    FROM confusion
    GROUP BY model_type, image_unit_id, source_unit_id
),
part AS (
    SELECT
        model_type,
        image_unit_id,
        source_unit_id,
        session,
        scan_idx,
        n_repeats,
        var_resp,
        pilot,
        (pilot_resp - pilot) + offset_resp AS delta
    FROM confusion
    JOIN loop_pilot USING (model_type, image_unit_id, source_unit_id)
),
pooled_mean AS (
    SELECT
        model_type,
        image_unit_id,
        source_unit_id,
        count(*) AS scan_count,
        sum(n_repeats)::BIGINT AS n,
        sum(n_repeats * delta ORDER BY session, scan_idx) / sum(n_repeats) AS mean_delta
    FROM part
    GROUP BY model_type, image_unit_id, source_unit_id
),
pooled AS (
    SELECT
        model_type,
        image_unit_id,
        source_unit_id,
        any_value(scan_count) AS scan_count,
        any_value(n) AS n,
        any_value(pilot) + any_value(mean_delta) AS mu_resp,
        sum(n_repeats * (var_resp + (delta - mean_delta) * (delta - mean_delta)) ORDER BY session, scan_idx)
            AS sum_of_squares
    FROM part
    JOIN pooled_mean USING (model_type, image_unit_id, source_unit_id)
    GROUP BY model_type, image_unit_id, source_unit_id
)
SELECT
    model_type,
    image_unit_id,
    source_unit_id,
    mu_resp,
    -- one repeat has a mean but no variance: said, not NaN
    CASE WHEN n > 1 THEN sum_of_squares / (n - 1) END AS var_resp,
    CASE WHEN n > 1 THEN sqrt(sum_of_squares / (n - 1) / n) END AS sem_resp,
    n AS n_repeats,
    scan_count
FROM pooled
ORDER BY model_type, image_unit_id, source_unit_id

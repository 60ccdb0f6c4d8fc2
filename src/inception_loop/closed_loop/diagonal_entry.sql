-- SummaryConfusionDiagonalEntry and ZSummaryConfusionDiagonalEntry: each unit's response to its own MEI
-- ($own: cnn, or masked_cnn) and to its own control image ($control: linear RF, natural, gabor, masked_natural).
WITH
own AS (
    SELECT model_type, source_unit_id, mu_resp, sem_resp, n_repeats
    FROM summary_confusion
    WHERE image_unit_id = source_unit_id
),
paired AS (
    SELECT
        source_unit_id,
        mei.mu_resp AS cnn_resp,
        mei.sem_resp AS cnn_sem,
        mei.n_repeats AS cnn_repeats,
        control.mu_resp AS rf_resp,
        control.sem_resp AS rf_sem,
        control.n_repeats AS rf_repeats,
        mei.mu_resp - control.mu_resp AS diff_resp,
        sqrt(mei.sem_resp * mei.sem_resp + control.sem_resp * control.sem_resp) AS diff_sem
    FROM (FROM own WHERE model_type = $own) AS mei
    JOIN (FROM own WHERE model_type = $control) AS control USING (source_unit_id)
),
tested AS (
    SELECT *, CASE WHEN diff_sem > 0 THEN diff_resp / diff_sem END AS t_diff
    FROM paired
)
SELECT
    $control AS control,
    $own AS own,
    *,
    row_number() OVER (ORDER BY diff_resp DESC, source_unit_id) - 1 AS diff_rank,
    CASE
        WHEN t_diff IS NOT NULL
            THEN row_number() OVER (ORDER BY t_diff DESC NULLS LAST, source_unit_id) - 1
    END AS t_rank
FROM tested
ORDER BY source_unit_id

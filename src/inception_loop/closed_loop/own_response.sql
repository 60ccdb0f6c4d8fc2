-- OwnResponse of one scan: trial by trial, what each matched cell answers to the images of its own unit.
-- Scaled as ZScoreConfusion scales, to the last bit: the same sums, in the order of the trials.
-- Goes on from scan_statistics.sql.
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

-- ClosestCalibration: per scan the calibration of the same rig nearest in time.
-- Of two as near, the earlier one: it was known when the scan was made; then the smaller scan, the smaller
-- position. delta_time in hours, negative where the monitor was measured before the scan.
WITH
same_rig AS (
    SELECT
        scans.animal_id,
        scans.session,
        scans.scan_idx,
        scans.rig,
        scans.scan_time,
        calibrations.animal_id AS calibration_animal_id,
        calibrations.session AS calibration_session,
        calibrations.scan_idx AS calibration_scan_idx,
        calibrations.calibration_time,
        calibrations.position,
        calibrations.calibration_time_us - scans.scan_time_us AS delta_us
    FROM scans
    JOIN calibrations USING (rig)
    WHERE calibrations.calibration_time_us IS NOT NULL
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY animal_id, session, scan_idx
            ORDER BY
                abs(delta_us),
                delta_us,
                calibration_animal_id,
                calibration_session,
                calibration_scan_idx,
                position
        ) AS place,
        count(*) OVER (PARTITION BY animal_id, session, scan_idx) AS n_calibrations
    FROM same_rig
)
SELECT
    animal_id,
    session,
    scan_idx,
    rig,
    scan_time,
    calibration_animal_id,
    calibration_session,
    calibration_scan_idx,
    calibration_time,
    position,
    delta_us / 3.6e9 AS delta_time,
    n_calibrations
FROM ranked
WHERE place = 1
ORDER BY animal_id, session, scan_idx

-- How a cell's responses are scaled over one scan: the beginning of confusion.sql and of own_response.sql,
-- which so agree to the last bit.
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

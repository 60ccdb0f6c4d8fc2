-- Images that both scans showed more than $more_than times, excluded trials left out.
WITH
source_count AS (
    SELECT condition_hash, count(*) AS n_repeats
    FROM source_response
    ANTI JOIN source_excluded_trial USING (trial_idx)
    GROUP BY condition_hash
),
later_count AS (
    SELECT condition_hash, count(*) AS n_repeats
    FROM later_response
    ANTI JOIN later_excluded_trial USING (trial_idx)
    GROUP BY condition_hash
)
SELECT condition_hash
FROM source_count
JOIN later_count USING (condition_hash)
WHERE least(source_count.n_repeats, later_count.n_repeats) > $more_than
ORDER BY condition_hash

-- Jackknife oracle of every unit of one member: how well the other repeats of an image predict a trial.
-- Table   trials: trial_idx BIGINT, condition_hash VARCHAR, response FLOAT[] (one value a unit); test tier only.
-- Params  $min_repeats: images shown less often are left out.
-- Rows    neuron_id, oracle_pearson, oracle_spearman (null where a unit does not vary), n_images, n_trials.
WITH repeated AS (
    SELECT condition_hash, count(*) AS repeats
    FROM trials
    GROUP BY condition_hash
    HAVING count(*) >= $min_repeats
),

responses AS (
    SELECT
        condition_hash,
        repeats,
        generate_subscripts(response, 1) - 1 AS neuron_id,
        unnest(response)::DOUBLE AS single
    FROM (
        SELECT condition_hash, repeats, response::FLOAT[] AS response
        FROM trials
        INNER JOIN repeated USING (condition_hash)
        ORDER BY condition_hash, trial_idx
    )
),

paired AS (  -- each trial beside the mean of the image's other repeats
    SELECT
        condition_hash,
        neuron_id,
        single,
        (sum(single) OVER (PARTITION BY neuron_id, condition_hash) - single) / (repeats - 1) AS others
    FROM responses
),

ranked AS (  -- ties share the average of their ranks
    SELECT
        *,
        rank() OVER (PARTITION BY neuron_id ORDER BY single)
        + (count(*) OVER (PARTITION BY neuron_id, single) - 1) / 2.0 AS single_rank,
        rank() OVER (PARTITION BY neuron_id ORDER BY others)
        + (count(*) OVER (PARTITION BY neuron_id, others) - 1) / 2.0 AS others_rank
    FROM paired
),

centred AS (
    SELECT
        condition_hash,
        neuron_id,
        single,
        single - avg(single) OVER unit AS d_single,
        others - avg(others) OVER unit AS d_others,
        single_rank - avg(single_rank) OVER unit AS d_single_rank,
        others_rank - avg(others_rank) OVER unit AS d_others_rank
    FROM ranked
    WINDOW unit AS (PARTITION BY neuron_id)
),

moments AS (
    SELECT
        neuron_id,
        sum(single * single) AS energy,
        sum(d_single * d_single) AS ss,
        sum(d_others * d_others) AS oo,
        sum(d_single * d_others) AS so,
        sum(d_single_rank * d_single_rank) AS ss_rank,
        sum(d_others_rank * d_others_rank) AS oo_rank,
        sum(d_single_rank * d_others_rank) AS so_rank,
        count(DISTINCT condition_hash) AS n_images,
        count(*) AS n_trials
    FROM centred
    GROUP BY neuron_id
)

SELECT  -- a variance that is mere rounding counts as none
    neuron_id,
    CASE WHEN least(ss, oo) > 1e-24 * energy THEN so / sqrt(ss * oo) END AS oracle_pearson,
    CASE WHEN least(ss, oo) > 1e-24 * energy THEN so_rank / sqrt(nullif(ss_rank * oo_rank, 0)) END AS oracle_spearman,
    n_images,
    n_trials
FROM moments
ORDER BY neuron_id

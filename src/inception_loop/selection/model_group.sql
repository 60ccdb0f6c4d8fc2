-- Every configuration of the two families by its mean validation correlation, and what its models are for: the
-- best one of a family is its ensemble; seeds of it that are held out, or the second-best CNN, judge images.
-- Held-out seeds do not count in the mean: null where a configuration has no others.
-- Tables  candidates: model, family ('cnn' or 'linear'), core, readout, configuration, seed, val_corr
--         wanted:     family, core: which cores a family's candidates may have
-- Params  $validator ('none', 'held_out_seeds', 'runner_up' or 'auto'), $held_out: the last so many seeds
-- Rows    family, configuration, core, readout, mean_val_corr, n_seeds, place (0: the best of its family), chosen,
--         role ('ensemble', 'validator' or ''), model, seed, val_corr.
WITH numbered AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY family, configuration) AS n_seeds,
        row_number() OVER (PARTITION BY family, configuration ORDER BY seed DESC, model DESC) AS nth_from_last
    FROM candidates SEMI JOIN wanted USING (family, core)
),

kept AS (  -- who judges images has no say in which configuration makes them
    SELECT
        *,
        NOT ($validator = 'held_out_seeds' AND family = 'cnn' AND nth_from_last <= $held_out) AS counts
    FROM numbered
),

configurations AS (
    SELECT
        family,
        configuration,
        avg(val_corr) FILTER (WHERE counts) AS mean_val_corr
    FROM (FROM kept ORDER BY family, configuration, seed, model)
    GROUP BY family, configuration
),

placed AS (
    SELECT
        kept.*,
        mean_val_corr,
        dense_rank() OVER (
            PARTITION BY family ORDER BY mean_val_corr DESC NULLS LAST, configuration
        ) - 1 AS place
    FROM kept
    INNER JOIN configurations USING (family, configuration)
),

cast_in_roles AS (
    SELECT
        *,
        CASE
            WHEN place = 0 AND counts THEN 'ensemble'
            WHEN place = 0 THEN 'validator'
            WHEN place = 1 AND family = 'cnn' AND $validator IN ('runner_up', 'auto') THEN 'validator'
            ELSE ''
        END AS role
    FROM placed
)

SELECT
    family,
    configuration,
    core,
    readout,
    mean_val_corr,
    n_seeds,
    place,
    role = 'ensemble' AS chosen,
    role,
    model,
    seed,
    val_corr
FROM cast_in_roles
ORDER BY family, place, seed, model

-- Every configuration of the two families by its mean validation correlation, and what its models are for: the
-- best one of a family is its ensemble; seeds of it that are held out, or the second-best CNN, judge images.
-- Tables  candidates: model, family ('cnn' or 'linear'), core, readout, configuration, seed, val_corr
--         wanted:     family, core: which cores a family's candidates may have
-- Params  $validator ('none', 'held_out_seeds' or 'runner_up'), $held_out: the last so many seeds
-- Rows    family, configuration, core, readout, mean_val_corr, n_seeds, place (0: the best of its family), chosen,
--         role ('ensemble', 'validator' or ''), model, seed, val_corr.
WITH configurations AS (
    SELECT
        family,
        configuration,
        avg(val_corr) AS mean_val_corr,
        count(*) AS n_seeds
    FROM (FROM candidates SEMI JOIN wanted USING (family, core) ORDER BY family, configuration, seed, model)
    GROUP BY family, configuration
),

placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY family ORDER BY mean_val_corr DESC, configuration) - 1 AS place
    FROM configurations
),

numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY family, configuration ORDER BY seed DESC, model DESC) AS nth_from_last
    FROM placed
    INNER JOIN candidates USING (family, configuration)
),

cast_in_roles AS (
    SELECT
        *,
        CASE
            WHEN $validator = 'held_out_seeds' AND family = 'cnn' AND place = 0 AND nth_from_last <= $held_out
                THEN 'validator'
            WHEN $validator = 'runner_up' AND family = 'cnn' AND place = 1 THEN 'validator'
            WHEN place = 0 THEN 'ensemble'
            ELSE ''
        END AS role
    FROM numbered
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

-- Every configuration of the two families by its mean validation correlation, and what its models are for: the
-- best one of a family is its ensemble. Who judges images had no part in making them: the last seeds of the best
-- CNN configuration, held out of its ensemble, or the networks of the next best one that has independent ones.
-- Networks of one seed start from the same random numbers, so independent is who has another seed or readout.
-- Seeds that are held out do not count in a mean: null where a configuration has no others. The linear family
-- holds out the seeds that the CNN holds out, so that both ensembles are made of the same seeds.
-- Tables  candidates: model, family ('cnn' or 'linear'), core, readout, configuration, seed, val_corr
--         wanted:     family, core: which cores a family's candidates may have
-- Params  $validator ('none', 'held_out_seeds', 'runner_up' or 'auto': held-out seeds of a configuration that has
--         enough of them, else as runner_up), $held_out: the last so many seeds
-- Rows    family, configuration, core, readout, mean_val_corr, n_seeds, place (0: the best of its family), chosen,
--         role ('ensemble', 'validator' or ''), model, seed, val_corr.
WITH numbered AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY family, configuration) AS n_seeds,
        row_number() OVER (PARTITION BY family, configuration ORDER BY seed DESC, model DESC) AS nth_from_last
    FROM candidates SEMI JOIN wanted USING (family, core)
),

cnn AS (  -- who judges images has no say in which configuration makes them
    SELECT
        *,
        NOT (
            nth_from_last <= $held_out
            AND ($validator = 'held_out_seeds' OR ($validator = 'auto' AND n_seeds > $held_out))
        ) AS counts
    FROM numbered
    WHERE family = 'cnn'
),

cnn_means AS (
    SELECT
        configuration,
        avg(val_corr) FILTER (WHERE counts) AS mean_val_corr
    FROM (FROM cnn ORDER BY configuration, seed, model)
    GROUP BY configuration
),

best_cnn AS (
    SELECT cnn.*
    FROM cnn
    INNER JOIN (FROM cnn_means ORDER BY mean_val_corr DESC NULLS LAST, configuration LIMIT 1)
        USING (configuration)
),

linear AS (
    SELECT
        *,
        seed NOT IN (SELECT seed FROM best_cnn WHERE NOT counts) AS is_free
    FROM numbered
    WHERE family = 'linear'
),

kept AS (
    FROM cnn
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (is_free),
        is_free OR NOT bool_or(is_free) OVER (PARTITION BY configuration) AS counts  -- one without others stays
    FROM linear
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
        ) - 1 AS place,
        family = 'cnn'
        AND $validator IN ('runner_up', 'auto')
        AND NOT EXISTS (SELECT 1 FROM best_cnn WHERE NOT counts)
        AND NOT EXISTS (
            SELECT 1 FROM best_cnn AS own WHERE own.seed = kept.seed AND own.readout = kept.readout
        ) AS may_judge
    FROM kept
    INNER JOIN configurations USING (family, configuration)
),

cast_in_roles AS (
    SELECT
        *,
        CASE
            WHEN place = 0 AND counts THEN 'ensemble'
            WHEN place = 0 AND family = 'cnn' THEN 'validator'
            WHEN place > 0 AND may_judge
                AND place = min(place) FILTER (WHERE place > 0 AND may_judge) OVER () THEN 'validator'
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

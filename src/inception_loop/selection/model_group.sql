-- Every configuration of the two families by its mean validation correlation; the best one forms the ensemble.
-- Table   candidates: model VARCHAR, family VARCHAR, configuration VARCHAR, seed BIGINT, val_corr DOUBLE.
-- Rows    family, configuration, mean_val_corr, n_seeds, place (0: the best of its family), model, seed, val_corr.
WITH configurations AS (
    SELECT
        family,
        configuration,
        avg(val_corr) AS mean_val_corr,
        count(*) AS n_seeds
    FROM (FROM candidates ORDER BY family, configuration, seed, model)
    GROUP BY family, configuration
),

placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY family ORDER BY mean_val_corr DESC, configuration) - 1 AS place
    FROM configurations
)

SELECT
    family,
    configuration,
    mean_val_corr,
    n_seeds,
    place,
    model,
    seed,
    val_corr
FROM placed
INNER JOIN candidates USING (family, configuration)
ORDER BY family, place, seed, model

-- Truth panel: the purest simple and complex units, those with most signal relative to noise first.
-- Tables  truth: name, unit_id, kind, complexity (0 simple .. 1 complex), signal_variance, noise_variance
--         units: name, neuron_id, unit_id (those of the dataset)
-- Params  $n_simple, $n_complex
WITH pure AS (
    SELECT
        name,
        neuron_id,
        unit_id,
        kind,
        complexity,
        signal_variance / nullif(noise_variance, 0) AS signal_to_noise,
        abs(complexity - CASE kind WHEN 'complex' THEN 1 ELSE 0 END) AS impurity
    FROM truth
    INNER JOIN units USING (name, unit_id)
    WHERE kind IN ('simple', 'complex') AND signal_variance > 0
),

placed AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY kind ORDER BY impurity, signal_to_noise DESC NULLS FIRST, name, unit_id
        ) - 1 AS panel_rank
    FROM pure
)

SELECT
    name,
    neuron_id,
    unit_id,
    kind,
    complexity,
    signal_to_noise,
    panel_rank
FROM placed
WHERE panel_rank < CASE kind WHEN 'complex' THEN $n_complex ELSE $n_simple END
ORDER BY kind, panel_rank

-- Units of each member by their oracle, best first.
-- Table   oracle: name VARCHAR, neuron_id BIGINT, unit_id BIGINT, oracle_pearson DOUBLE (null: none).
-- Rows    name, neuron_id, unit_id, oracle_corr, rank (0 first), top_ptile = rank / units of the member.
SELECT
    name,
    neuron_id,
    unit_id,
    oracle_pearson AS oracle_corr,
    row_number() OVER best - 1 AS rank,
    (row_number() OVER best - 1) / (count(*) OVER (PARTITION BY name))::DOUBLE AS top_ptile
FROM oracle
WINDOW best AS (PARTITION BY name ORDER BY oracle_pearson DESC NULLS LAST, unit_id)
ORDER BY name, rank

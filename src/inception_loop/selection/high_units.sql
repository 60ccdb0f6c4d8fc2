-- CorrectedHighUnitSelection: every candidate unit, its rank among the selected (hu_rank) or why it fell out.
-- Tables  ranked: name, neuron_id, unit_id, oracle_corr, top_ptile
--         units:  name, unit_id, brain_area, layer, um_x, um_y, um_z, border_um (µm; null: unknown, rule passed)
--         scores: name, unit_id, family ('cnn' or 'linear'), test_corr (one row a model and unit)
-- Params  $top_ptile, $border_um, $quantile (0..1), $distance_um, $max_rank
WITH RECURSIVE mean_score AS (
    SELECT
        name,
        unit_id,
        avg(test_corr) FILTER (WHERE family = 'cnn') AS cnn_test_corr,
        avg(test_corr) FILTER (WHERE family = 'linear') AS lin_test_corr
    FROM (FROM scores ORDER BY name, unit_id, family, test_corr)
    GROUP BY name, unit_id
),

candidate AS (
    SELECT
        ranked.name,
        ranked.neuron_id,
        ranked.unit_id,
        brain_area,
        layer,
        um_x,
        um_y,
        um_z,
        border_um,
        oracle_corr,
        top_ptile,
        cnn_test_corr,
        lin_test_corr,
        CASE WHEN oracle_corr > 0 THEN cnn_test_corr / oracle_corr END AS cnn_fraction_oracle,
        CASE WHEN oracle_corr > 0 THEN lin_test_corr / oracle_corr END AS lin_fraction_oracle
    FROM ranked
    INNER JOIN units USING (name, unit_id)
    LEFT JOIN mean_score USING (name, unit_id)
),

screened AS (  -- rules 1 and 2
    SELECT
        *,
        CASE
            WHEN oracle_corr IS NULL OR oracle_corr <= 0 THEN 'no_oracle'
            WHEN top_ptile >= $top_ptile THEN 'low_oracle'
            WHEN border_um < $border_um THEN 'near_border'
            WHEN cnn_fraction_oracle IS NULL OR lin_fraction_oracle IS NULL THEN 'no_score'
            ELSE ''
        END AS screen
    FROM candidate
),

threshold AS (  -- over the units that are left
    SELECT
        name,
        quantile_cont(cnn_fraction_oracle, $quantile) AS cnn_threshold,
        quantile_cont(lin_fraction_oracle, $quantile) AS lin_threshold
    FROM screened
    WHERE screen = ''
    GROUP BY name
),

judged AS (  -- rule 3
    SELECT
        screened.*,
        CASE
            WHEN screen <> '' THEN screen
            WHEN cnn_fraction_oracle <= cnn_threshold THEN 'low_cnn_fraction'
            WHEN lin_fraction_oracle <= lin_threshold THEN 'low_linear_fraction'
            ELSE ''
        END AS judgement
    FROM screened
    LEFT JOIN threshold USING (name)
),

ordered AS (  -- rule 4
    SELECT
        name,
        unit_id,
        {'x': um_x, 'y': um_y, 'z': um_z} AS place,
        row_number() OVER (
            PARTITION BY name ORDER BY cnn_fraction_oracle - lin_fraction_oracle DESC, unit_id
        ) AS position
    FROM judged
    WHERE judgement = ''
),

walk AS (  -- rule 5: down the order, keeping those that lie clear of all kept before
    SELECT
        name,
        unit_id,
        position,
        true AS free,
        [place] AS kept
    FROM ordered
    WHERE position = 1
    UNION ALL
    SELECT
        ordered.name,
        ordered.unit_id,
        ordered.position,
        clear.free,
        CASE WHEN clear.free THEN list_append(walk.kept, ordered.place) ELSE walk.kept END
    FROM walk
    INNER JOIN ordered ON ordered.name = walk.name AND ordered.position = walk.position + 1
    CROSS JOIN LATERAL (
        SELECT
            len(list_filter(walk.kept, lambda other:
                (other.x - ordered.place.x) ** 2
                + (other.y - ordered.place.y) ** 2
                + (other.z - ordered.place.z) ** 2 < $distance_um ** 2
            )) = 0 AS free
    ) AS clear
),

placed AS (  -- rule 6
    SELECT
        name,
        unit_id,
        free,
        CASE WHEN free THEN row_number() OVER (PARTITION BY name, free ORDER BY position) - 1 END AS hu_rank
    FROM walk
)

SELECT
    judged.* EXCLUDE (screen, judgement),
    CASE WHEN hu_rank < $max_rank THEN hu_rank END AS hu_rank,
    CASE
        WHEN judgement <> '' THEN judgement
        WHEN NOT free THEN 'too_close'
        WHEN hu_rank >= $max_rank THEN 'beyond_max_rank'
        ELSE ''
    END AS reason
FROM judged
LEFT JOIN placed USING (name, unit_id)
ORDER BY name, neuron_id

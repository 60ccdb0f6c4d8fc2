-- CorrectedHighUnitSelection: every candidate unit, its rank among the selected (hu_rank) or why it fell out, and
-- by how much: what the rule measured and the threshold that it was held against.
-- Tables  ranked: name, neuron_id, unit_id, oracle_corr, top_ptile
--         units:  name, unit_id, brain_area, layer, um_x, um_y, um_z, border_um (µm; null: unknown, rule passed)
--         scores: name, unit_id, family ('cnn' or 'linear'), test_corr (one row a model and unit)
-- Params  $top_ptile, $border_um, $percentile (0..100), $distance_um, $max_rank
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

ascending AS (  -- the units that are left, and where among them the percentile lies
    SELECT
        name,
        list(cnn_fraction_oracle ORDER BY cnn_fraction_oracle) AS cnn,
        list(lin_fraction_oracle ORDER BY lin_fraction_oracle) AS lin,
        (count(*) - 1) * $percentile / 100 AS place,
        floor(place)::BIGINT + 1 AS below,
        ceil(place)::BIGINT + 1 AS above
    FROM screened
    WHERE screen = ''
    GROUP BY name
),

threshold AS (  -- between equal neighbours exactly their value, which quantile_cont can miss by a rounding
    SELECT
        name,
        cnn[below] + (cnn[above] - cnn[below]) * (place - below + 1) AS cnn_threshold,
        lin[below] + (lin[above] - lin[below]) * (place - below + 1) AS lin_threshold
    FROM ascending
),

judged AS (  -- rule 3
    SELECT
        screened.*,
        cnn_threshold,
        lin_threshold,
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
        place,
        position,
        true AS free,
        [place] AS kept
    FROM ordered
    WHERE position = 1
    UNION ALL
    SELECT
        ordered.name,
        ordered.unit_id,
        ordered.place,
        ordered.position,
        clear.free,
        CASE WHEN clear.free THEN list_append(walk.kept, ordered.place) ELSE walk.kept END
    FROM walk
    INNER JOIN ordered ON ordered.name = walk.name AND ordered.position = walk.position + 1
    CROSS JOIN LATERAL (
        SELECT
            len(list_filter(walk.kept, lambda other:
                sqrt(
                    (other.x - ordered.place.x) ** 2
                    + (other.y - ordered.place.y) ** 2
                    + (other.z - ordered.place.z) ** 2
                ) < $distance_um  -- squared, a tiny distance would be none
            )) = 0 AS free
    ) AS clear
),

placed AS (  -- rule 6
    SELECT
        name,
        unit_id,
        place,
        position,
        free,
        CASE WHEN free THEN row_number() OVER (PARTITION BY name, free ORDER BY position) - 1 END AS rank
    FROM walk
),

pairs AS (  -- each unit of the order with those that were kept before it
    SELECT
        placed.name,
        placed.unit_id,
        kept.position,
        kept.unit_id AS kept_id,
        sqrt(
            (kept.place.x - placed.place.x) ** 2
            + (kept.place.y - placed.place.y) ** 2
            + (kept.place.z - placed.place.z) ** 2
        ) AS um
    FROM placed
    INNER JOIN placed AS kept ON kept.name = placed.name AND kept.free AND kept.position < placed.position
),

apart AS (
    SELECT
        name,
        unit_id,
        min({'um': um, 'position': position, 'unit_id': kept_id}) AS nearest
    FROM pairs
    WHERE um IS NOT NULL
    GROUP BY name, unit_id
),

reasoned AS (
    SELECT
        judged.* EXCLUDE (screen, judgement),
        nearest.um AS nearest_um,
        nearest.unit_id AS nearest_unit_id,
        rank,
        CASE
            WHEN judgement <> '' THEN judgement
            WHEN NOT free THEN 'too_close'
            WHEN rank >= $max_rank THEN 'beyond_max_rank'
            ELSE ''
        END AS reason
    FROM judged
    LEFT JOIN placed USING (name, unit_id)
    LEFT JOIN apart USING (name, unit_id)
)

SELECT
    * EXCLUDE (rank, reason),
    CASE WHEN reason = '' THEN rank END AS hu_rank,
    reason,
    CASE reason
        WHEN 'no_oracle' THEN oracle_corr
        WHEN 'low_oracle' THEN top_ptile
        WHEN 'near_border' THEN border_um
        WHEN 'low_cnn_fraction' THEN cnn_fraction_oracle
        WHEN 'low_linear_fraction' THEN lin_fraction_oracle
        WHEN 'too_close' THEN nearest_um
        WHEN 'beyond_max_rank' THEN rank
    END AS measured,
    CASE reason
        WHEN 'no_oracle' THEN 0
        WHEN 'low_oracle' THEN $top_ptile
        WHEN 'near_border' THEN $border_um
        WHEN 'low_cnn_fraction' THEN cnn_threshold
        WHEN 'low_linear_fraction' THEN lin_threshold
        WHEN 'too_close' THEN $distance_um
        WHEN 'beyond_max_rank' THEN $max_rank
    END::DOUBLE AS threshold
FROM reasoned
ORDER BY name, neuron_id

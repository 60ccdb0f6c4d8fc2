-- TargetDataset: the units of a group that networks of a data configuration read out.
-- Table   units: name, neuron_id (column in the dataset), unit_id, brain_area, layer
-- Params  $areas (a list; empty: every area), $layer (null: every layer)
-- Rows    readout_key, neuron_id (column in the readout: the wanted units in their order, from 0), unit_id,
--         brain_area, layer.
WITH wanted AS (
    SELECT *
    FROM units
    WHERE (len($areas) = 0 OR list_contains($areas, brain_area)) AND layer = coalesce($layer, layer)
)

SELECT
    name AS readout_key,
    row_number() OVER (PARTITION BY name ORDER BY neuron_id) - 1 AS neuron_id,
    unit_id,
    brain_area,
    layer
FROM wanted
ORDER BY readout_key, neuron_id

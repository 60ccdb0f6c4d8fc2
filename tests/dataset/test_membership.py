from __future__ import annotations

import polars as pl
import pytest

from inception_loop.dataset.config import AreaPolygon, AreaRules, DatasetConfig, DepthRule, LayerRules
from inception_loop.dataset.membership import area_membership, layer_membership
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import DataError

UNITS = pl.DataFrame(
    {
        "unit_id": [1, 2, 3],
        "um_z": [50.0, 200.0, 2000.0],
        "layer": [None, "L5", None],
        "brain_area": ["V1", None, "LM"],
    }
)


def test_a_recorded_layer_wins_over_depth_and_depth_over_the_fallback():
    table = layer_membership(UNITS, LayerRules(otherwise="unset"))
    assert table.rows() == [(1, "L1", "depth"), (2, "L5", "recording"), (3, "unset", "otherwise")]


def test_the_first_depth_rule_that_fits_counts():
    rules = LayerRules(
        depths=(DepthRule(layer="A", top=0, bottom=100), DepthRule(layer="B", top=0, bottom=3000))
    )
    assert layer_membership(UNITS.drop("layer"), rules)["layer"].to_list() == ["A", "B", "B"]


def test_a_unit_without_layer_or_area_is_an_error_that_names_it():
    with pytest.raises(DataError, match="unit 3 and 0 others have no layer"):
        layer_membership(UNITS, LayerRules())
    with pytest.raises(DataError, match="unit 2 and 0 others have no brain_area"):
        area_membership(UNITS, AreaRules())


def test_areas_come_from_the_recording_or_the_rules():
    assert area_membership(UNITS, AreaRules(otherwise="unknown"))["brain_area"].to_list() == [
        "V1",
        "unknown",
        "LM",
    ]
    bare = area_membership(UNITS.drop("brain_area"), AreaRules(otherwise="V1"))
    assert set(bare["decided_by"]) == {"otherwise"}


def test_without_depth_rules_only_the_fallback_is_left():
    assert (
        layer_membership(UNITS.drop("layer"), LayerRules(depths=(), otherwise="L4"))["layer"].to_list()
        == ["L4"] * 3
    )


def test_an_unknown_depth_is_covered_by_no_rule():
    table = layer_membership(
        pl.DataFrame({"unit_id": [1], "um_z": [None]}, schema_overrides={"um_z": pl.Float64}),
        LayerRules(otherwise="unset"),
    )
    assert table["layer"].to_list() == ["unset"]


def square(brain_area, left, right, top=0, bottom=100):
    return AreaPolygon(
        brain_area=brain_area, corners=((left, top), (right, top), (right, bottom), (left, bottom))
    )


def placed(xs, y=50.0):
    return pl.DataFrame(
        {"unit_id": range(len(xs)), "um_x": xs, "um_y": [y] * len(xs)},
        schema_overrides={"um_x": pl.Float64, "um_y": pl.Float64},
    )


NEIGHBOURS = AreaRules(polygons=(square("V1", 0, 100), square("LM", 100, 200)), otherwise="unknown")


def test_a_unit_belongs_to_the_polygon_it_lies_in():
    table = area_membership(placed([0.0, 50, 150, 200, 201]), NEIGHBOURS)
    assert table["brain_area"].to_list() == ["V1", "V1", "LM", "LM", "unknown"]
    assert table["decided_by"].to_list() == ["polygon"] * 4 + ["otherwise"]


def test_a_unit_on_a_shared_boundary_belongs_to_the_area_named_first():
    assert area_membership(placed([100.0]), NEIGHBOURS)["brain_area"].item() == "V1"
    swapped = AreaRules(polygons=NEIGHBOURS.polygons[::-1])
    assert area_membership(placed([100.0]), swapped)["brain_area"].item() == "LM"


def test_where_polygons_overlap_the_first_counts():
    rules = AreaRules(polygons=(square("V1", 0, 120), square("LM", 80, 200)))
    assert area_membership(placed([79.0, 100, 121]), rules)["brain_area"].to_list() == ["V1", "V1", "LM"]


def test_a_recorded_area_wins_over_polygons():
    units = placed([50.0, 50]).with_columns(brain_area=pl.Series(["AL", None], dtype=pl.String))
    assert area_membership(units, NEIGHBOURS).rows() == [(0, "AL", "recording"), (1, "V1", "polygon")]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_unit_without_a_place_lies_in_no_polygon_and_is_named(missing):
    units = placed([50.0, missing])
    assert area_membership(units, NEIGHBOURS)["brain_area"].to_list() == ["V1", "unknown"]
    with pytest.raises(DataError, match=r"unit 1 and 0 others have no brain_area \(its um_x is not known\)"):
        area_membership(units, AreaRules(polygons=NEIGHBOURS.polygons))


def test_a_unit_outside_every_polygon_is_named_as_it_is():
    with pytest.raises(DataError, match="unit 0 and 0 others have no brain_area; "):
        area_membership(placed([500.0]), AreaRules(polygons=NEIGHBOURS.polygons))


def test_a_depth_that_is_not_known_is_named():
    with pytest.raises(DataError, match=r"no layer \(its um_z is not known\)"):
        layer_membership(pl.DataFrame({"unit_id": [1], "um_z": [float("nan")]}), LayerRules())


def test_areas_by_polygon_reach_the_dataset_with_their_counts(store, save, make_recording):
    units = make_recording().units  # five somata, um_x 0, 60, (120 an axon,) 180, 240, 300; um_y 0
    assert units["um_x"].to_list() == [0, 60, 120, 180, 240, 300]
    rules = AreaRules(polygons=(square("V1", 0, 200), square("LM", 150, 260)), otherwise="unknown")
    made = make_dataset(store, DatasetConfig(group_id=1, areas=rules), [save(make_recording())])
    findings = store.manifest(made["area_membership"][0].ref).findings
    assert findings["n_units"] == {"LM": 1, "V1": 3, "unknown": 1}
    assert findings["decided_by"] == {"otherwise": 1, "polygon": 4}
    assert findings["n_in_several_polygons"] == 1

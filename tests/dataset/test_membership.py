from __future__ import annotations

import polars as pl
import pytest

from inception_loop.dataset.config import AreaRules, DepthRule, LayerRules
from inception_loop.dataset.membership import area_membership, layer_membership
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

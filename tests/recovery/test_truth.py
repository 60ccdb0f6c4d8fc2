"""The table of what a loop recovered: medians over the right units, each with its n, null where undefined."""

import numpy as np
import polars as pl
import pytest

from inception_loop.recovery import truth as module
from inception_loop.recovery.networks import align
from inception_loop.recovery.truth import DEFINITIONS, _median, recovered


@pytest.fixture
def measured(truth, member, monkeypatch):
    """Measures of two CNNs and two linear networks whose values are chosen; ``model`` is a number."""
    aligned = align(truth, member)
    units = len(aligned.kind)
    base = np.where(aligned.driven, np.linspace(0.5, 0.9, units), np.nan)
    fractions = {1: base + 0.05, 2: base - 0.05, 3: base - 0.2, 4: base - 0.2}
    monkeypatch.setattr(module, "ceiling_fractions", lambda model, *_: fractions[model])
    monkeypatch.setattr(
        module, "rf_center_errors", lambda model, *_: np.where(aligned.driven, model / 2, np.nan)
    )
    monkeypatch.setattr(module, "gain_correlations", lambda model, *_: np.where(aligned.driven, 0.7, np.nan))
    monkeypatch.setattr(module, "rf_center_offset", lambda model, *_: float(model))
    monkeypatch.setattr(module, "shift_correlation", lambda model, *_: model / 4)
    return aligned, base


def numbers(truth, member, judged=None, estimate=None) -> tuple[dict, dict, pl.DataFrame]:
    expected = truth.units.select("unit_id", oracle_pearson=pl.lit(0.5) if estimate is None else estimate)
    table, units = recovered(truth, member, expected, 2, [1, 2], [3, 4], judged or {"mei": None, "rf": None})
    assert dict(table.select("key", "definition").rows()) == DEFINITIONS
    value = dict(table.select("key", "value").rows())
    return value, dict(table.select("key", "n").rows()), units


def test_medians_are_over_driven_units_and_means_over_seeds(truth, member, measured) -> None:
    aligned, base = measured
    value, n, units = numbers(truth, member)
    driven = int(aligned.driven.sum())
    assert value["ceiling_fraction_median"] == pytest.approx(np.nanmedian(base))
    assert value["rf_center_error_px_median"] == pytest.approx(0.75)
    assert (value["rf_center_offset_px"], n["rf_center_offset_px"]) == (1.5, 2)
    assert value["log_gain_correlation_median"] == pytest.approx(0.7)
    assert value["eye_shift_correlation"] == pytest.approx(0.375)
    for key in ("ceiling_fraction_median", "rf_center_error_px_median", "log_gain_correlation_median"):
        assert n[key] == driven
    assert units["unit_id"].to_list() == member.units["unit_id"].to_list()
    assert units["cnn_ceiling_fraction"].null_count() == len(base) - driven
    np.testing.assert_allclose(units["cnn_ceiling_fraction"].drop_nulls(), base[aligned.driven])


@pytest.mark.parametrize("kind", ["simple", "complex"])
def test_the_gain_over_the_linear_network_is_over_pure_cells_of_one_kind(
    truth, member, measured, kind
) -> None:
    aligned, _ = measured
    value, n, _ = numbers(truth, member)
    assert value[f"cnn_minus_linear_{kind}"] == pytest.approx(0.2)
    assert n[f"cnn_minus_linear_{kind}"] == int((aligned.kind == kind).sum()) > 0


def test_without_judged_images_their_numbers_are_null_of_no_units(truth, member, measured) -> None:
    value, n, units = numbers(truth, member, {"mei": None, "rf": None})
    for key in (key for key in DEFINITIONS if key.startswith(("mei_", "rf_cosine", "rf_share"))):
        assert value[key] is None
        assert n[key] == 0
    assert units["mei_cosine"].null_count() == units.height


def test_judged_images_are_joined_to_their_units(truth, member, measured) -> None:
    wanted = member.units["unit_id"][:3].to_list()
    judged = pl.DataFrame(
        {
            "unit_id": wanted[::-1],
            "kind": ["complex", "simple", "simple"],
            "cosine": [None, 0.8, 0.9],
            "share_of_maximum": [0.7, 0.8, 1.0],
        }
    )
    value, n, units = numbers(truth, member, {"mei": judged, "rf": None})
    assert value["mei_cosine_simple_median"] == pytest.approx(0.85)
    assert value["mei_share_of_maximum_median"] == pytest.approx(0.8)
    assert (n["mei_cosine_simple_median"], n["mei_share_of_maximum_median"]) == (2, 3)
    assert units["mei_share_of_maximum"][:3].to_list() == [1.0, 0.8, 0.7]


def test_rf_images_are_judged_of_simple_and_of_complex_cells_apart(truth, member, measured) -> None:
    aligned, _ = measured
    ids = member.units["unit_id"].to_numpy()
    rows = [("simple", 0.9), ("simple", 0.7), ("complex", 0.3), ("complex", 0.2), ("complex", 0.1)]
    taken = {kind: iter(ids[aligned.kind == kind].tolist()) for kind in ("simple", "complex")}
    judged = pl.DataFrame(
        [(next(taken[kind]), kind, share if kind == "simple" else None, share) for kind, share in rows],
        schema={"unit_id": pl.Int64, "kind": pl.String, "cosine": pl.Float64, "share_of_maximum": pl.Float64},
        orient="row",
    )
    value, n, _ = numbers(truth, member, {"mei": None, "rf": judged})
    found = [key for key in DEFINITIONS if key.startswith(("rf_cosine", "rf_share"))]
    assert [round(value[key], 6) for key in found] == [0.8, 0.8, 0.2]
    assert [n[key] for key in found] == [2, 2, 3]


def test_what_is_not_finite_is_null(truth, member, measured, monkeypatch) -> None:
    monkeypatch.setattr(module, "shift_correlation", lambda *_: float("nan"))
    assert numbers(truth, member)[0]["eye_shift_correlation"] is None


def test_a_unit_that_one_seed_has_no_value_for_does_not_count() -> None:
    assert _median(np.array([[1.0, 2.0, np.nan], [3.0, 6.0, 5.0]])) == (3.0, 2)
    assert _median(np.full((2, 3), np.nan)) == (None, 0)
    assert _median(np.zeros((1, 0))) == (None, 0)

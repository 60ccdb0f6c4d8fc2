"""Networks whose answers are those of the true cells recover everything; order and scale do not matter."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.network.modulators import MLPModulator, NoModulator
from inception_loop.network.shifters import MLPShifter, NoShifter
from inception_loop.recovery import networks
from inception_loop.recovery.networks import (
    align,
    ceiling_fractions,
    gain_correlations,
    rf_center_errors,
    rf_center_offset,
    rows_of,
    shift_correlation,
)


def model(**changes) -> SimpleNamespace:
    parts = {"shifter": MLPShifter(), "modulator": MLPModulator(), **changes}
    return SimpleNamespace(network=None, config=SimpleNamespace(data=None, network=SimpleNamespace(**parts)))


MODEL = model()


@pytest.fixture
def aligned(truth, member):
    return align(truth, member)


@pytest.fixture
def scan(monkeypatch):
    """A scan with an eye and behaviour; the tests say what the network makes of them."""
    scan = SimpleNamespace(eye=torch.zeros(1), behavior=torch.zeros(1), n_units=40)
    monkeypatch.setattr(networks, "scan_data", lambda *_: scan)
    return scan


def test_rows_are_where_the_numbers_stand() -> None:
    known = np.array([5, 9, 2])
    assert rows_of([2, 5, 5], known, "unit").tolist() == [2, 0, 0]
    assert rows_of([], known, "unit").tolist() == []
    with pytest.raises(DataError, match="does not know unit 7; expected the truth of the same recording"):
        rows_of([2, 7], known, "unit")


def test_the_truth_comes_in_the_members_order(truth, member, aligned) -> None:
    for column, unit in enumerate(member.units["unit_id"]):
        own = truth.units.filter(unit_id=unit).row(0, named=True)
        assert aligned.kind[column] == own["kind"]
        assert tuple(aligned.centers[column]) == (own["rf_x"], own["rf_y"])
    np.testing.assert_array_equal(aligned.expected, truth.expected[np.ix_(member.rows, member.columns)])
    np.testing.assert_array_equal(aligned.gain, truth.gain[np.ix_(member.rows, member.columns)])
    np.testing.assert_array_equal(aligned.shift_px, truth.shift_px[member.rows])
    assert (np.isnan(aligned.complexity) == ~aligned.driven).all()
    assert 0 < aligned.driven.sum() < len(aligned.driven)


def test_another_recordings_truth_is_refused(truth, member) -> None:
    strange = SimpleNamespace(**{**vars(member), "trial_idx": member.trial_idx + 10_000})
    with pytest.raises(DataError, match="does not know trial"):
        align(truth, strange)


def test_a_network_that_predicts_the_conditional_mean_reaches_the_ceiling(
    member, aligned, scan, monkeypatch
) -> None:
    monkeypatch.setattr(networks, "predict", lambda network, scan, rows: 3 * aligned.expected[rows] + 1)
    fractions = ceiling_fractions(MODEL, member, aligned)
    np.testing.assert_allclose(fractions[aligned.driven & np.isfinite(fractions)], 1, rtol=1e-5)
    assert np.isnan(fractions[~aligned.driven]).all()
    monkeypatch.setattr(networks, "predict", lambda network, scan, rows: -aligned.expected[rows])
    np.testing.assert_allclose(ceiling_fractions(MODEL, member, aligned), -fractions, rtol=1e-5)


def test_only_test_trials_count(member, aligned, scan, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        networks, "predict", lambda network, scan, rows: asked.append(rows) or aligned.expected[rows]
    )
    ceiling_fractions(MODEL, member, aligned)
    np.testing.assert_array_equal(asked[0], np.flatnonzero(member.tier == "test"))


def test_centres_off_by_the_same_for_all_have_no_error(member, aligned, monkeypatch) -> None:
    offset = np.array([4.0, -7.0])
    learnt = aligned.centers + offset
    learnt[~aligned.driven] = 1e6  # a cell without a receptive field may lie anywhere
    monkeypatch.setattr(networks, "receptive_field_centers", lambda *_: learnt.copy())
    errors = rf_center_errors(MODEL, member, aligned)
    np.testing.assert_allclose(errors[aligned.driven], 0, atol=1e-9)
    assert np.isnan(errors[~aligned.driven]).all()
    assert rf_center_offset(MODEL, member, aligned) == pytest.approx(np.hypot(4, 7))
    moved = int(np.flatnonzero(aligned.driven)[0])
    learnt[moved] += (3, 4)
    assert rf_center_errors(MODEL, member, aligned)[moved] == pytest.approx(5)


def test_a_shift_that_follows_the_eye_is_recovered_whatever_its_scale(
    member, aligned, scan, monkeypatch
) -> None:
    for scale, expected in ((2.5, 1.0), (-1.0, -1.0)):
        monkeypatch.setattr(
            networks, "learnt_shift", lambda *_, k=scale: k * aligned.shift_px.astype(float) + 3
        )
        assert shift_correlation(MODEL, member, aligned) == pytest.approx(expected)


def test_a_gain_that_is_a_power_of_the_true_one_is_recovered(member, aligned, scan, monkeypatch) -> None:
    monkeypatch.setattr(networks, "learnt_log_gain", lambda *_: 0.5 * np.log(aligned.gain.astype(float)) - 2)
    found = gain_correlations(MODEL, member, aligned)
    np.testing.assert_allclose(found[aligned.driven], 1, rtol=1e-6)
    assert np.isnan(found[~aligned.driven]).all()


def test_a_driven_cell_that_a_network_has_learnt_nothing_of_has_nothing_of_its_ceiling(
    member, aligned, scan, monkeypatch
) -> None:
    monkeypatch.setattr(networks, "predict", lambda network, scan, rows: np.ones((len(rows), 40), np.float32))
    fractions = ceiling_fractions(MODEL, member, aligned)
    assert (fractions[aligned.driven] == 0).all()
    assert np.isnan(fractions[~aligned.driven]).all()


def test_what_was_not_recorded_or_not_learnt_has_no_value(member, aligned, scan) -> None:
    assert np.isnan(shift_correlation(model(shifter=NoShifter()), member, aligned))
    assert np.isnan(gain_correlations(model(modulator=NoModulator()), member, aligned)).all()
    scan.eye = scan.behavior = None
    assert np.isnan(shift_correlation(MODEL, member, aligned))
    assert gain_correlations(MODEL, member, aligned).shape == (40,)
    assert np.isnan(gain_correlations(MODEL, member, aligned)).all()

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inception_loop.errors import DataError
from inception_loop.training.scores import group_repeats, pearson, repeat_scores

columns = arrays(np.float64, (12, 3), elements=st.floats(-100, 100, width=32))


@given(columns, columns)
def test_pearson_is_numpys_column_by_column(a, b):
    got = pearson(a, b)
    for i in range(3):
        if np.ptp(a[:, i]) > 1e-3 and np.ptp(b[:, i]) > 1e-3:
            assert got[i] == pytest.approx(np.corrcoef(a[:, i], b[:, i])[0, 1], abs=1e-9)


@given(columns, st.floats(0.1, 10), st.floats(-10, 10))
def test_pearson_does_not_see_scale_and_offset(a, scale, offset):
    b = np.random.default_rng(1).normal(size=a.shape)
    keep = np.ptp(a, axis=0) > 1e-3
    np.testing.assert_allclose(pearson(scale * a + offset, b)[keep], pearson(a, b)[keep], atol=1e-9)


def test_identical_columns_correlate_exactly_one_and_constant_ones_not_at_all():
    a = np.arange(50.0)[:, None]
    assert pearson(a, a)[0] == pytest.approx(1.0, abs=1e-15)
    assert np.isnan(pearson(a, np.full_like(a, 0.3)))[0]


def test_shapes_that_differ_are_refused():
    with pytest.raises(DataError, match=r"\(3, 1\) and \(4, 1\)"):
        pearson(np.zeros((3, 1)), np.zeros((4, 1)))


def test_repeats_are_grouped_by_condition_and_single_trials_left_out():
    condition = np.array(["b", "a", "c", "a", "b", "b"])
    response = np.array([1.0, 10, 100, 30, 2, 6])[:, None]
    repeats = group_repeats(condition, response, 2 * response)
    assert repeats.shown.tolist() == [2, 3]
    assert repeats.response[:, 0].tolist() == [20, 3]
    assert repeats.prediction[:, 0].tolist() == [40, 6]
    assert repeats.noise[:, 0].tolist() == [200, 7]
    assert sorted(repeats.rows.tolist()) == [0, 1, 3, 4, 5]
    assert group_repeats(np.array(["a", "b"]), response[:2], response[:2]) is None


@pytest.fixture
def simulated():
    """200 units, signal variance 1, noise variance 2; 60 images, 4 to 8 repeats; predictions half right."""
    rng = np.random.default_rng(3)
    repeats = rng.integers(4, 9, 60)
    signal = rng.normal(size=(60, 200))
    prediction = 0.6 * signal + 0.8 * rng.normal(size=(60, 200))
    trials = np.repeat(np.arange(60), repeats)
    response = signal[trials] + np.sqrt(2) * rng.normal(size=(len(trials), 200))
    return trials.astype(str), response, signal[trials], prediction[trials]


def test_scores_of_the_true_mean_are_at_their_ceiling(simulated):
    condition, response, signal, _ = simulated
    scores = repeat_scores(group_repeats(condition, response, signal), response, signal)
    assert scores.signal_power.mean() == pytest.approx(1, abs=0.05)
    assert scores.fev.mean() == pytest.approx(1 / 3, abs=0.02)
    assert np.median(scores.feve) == pytest.approx(1, abs=0.05)
    assert np.median(scores.cc_norm) == pytest.approx(1, abs=0.05)


def test_scores_of_a_prediction_find_what_it_shares_with_the_signal(simulated):
    condition, response, _, prediction = simulated
    repeats = group_repeats(condition, response, prediction)
    scores = repeat_scores(repeats, response, prediction)
    assert np.median(scores.cc_norm) == pytest.approx(0.6, abs=0.05)
    mean = pearson(repeats.prediction, repeats.response)
    np.testing.assert_allclose(scores.corr_to_mean, mean)
    assert np.median(mean) == pytest.approx(0.6 / np.sqrt(1 + 2 / 6), abs=0.06)


def test_feve_follows_its_formula(simulated):
    condition, response, _, prediction = simulated
    noise = np.mean([response[condition == c].var(0, ddof=1) for c in np.unique(condition)], axis=0)
    total = response.var(0, ddof=1)
    expected = 1 - (((response - prediction) ** 2).mean(0) - noise) / (total - noise)
    got = repeat_scores(group_repeats(condition, response, prediction), response, prediction).feve
    np.testing.assert_allclose(got, expected)


def test_a_silent_unit_has_no_scores_and_one_image_is_refused():
    response = np.zeros((6, 1))
    scores = repeat_scores(group_repeats(np.array(list("aabbcc")), response, response), response, response)
    assert all(np.isnan(scores._asdict()[name]).all() for name in ("corr_to_mean", "fev", "feve", "cc_norm"))
    with pytest.raises(DataError, match="one repeated image"):
        repeat_scores(
            group_repeats(np.array(list("aa")), response[:2], response[:2]), response[:2], response[:2]
        )

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inception_loop.dataset.oracle import jackknife_oracle
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


N, IMAGES = 2000, 400


def gaussian(signal, noise, repeats, seed=0, units=N):
    """Responses of units of known signal and noise variance to images with so many repeats each, shuffled."""
    rng = np.random.default_rng(seed)
    image = rng.permutation(np.repeat(np.arange(len(repeats)), repeats))
    drive = np.sqrt(signal) * rng.normal(size=(len(repeats), units))
    response = drive[image] + np.sqrt(noise) * rng.normal(size=(image.size, units))
    return image.astype(str), response, drive[image]


def within(values, expected, finite=0.0):
    """The mean over units is what is expected to 4 standard errors, and a term of order 1/I."""
    assert np.mean(values) == pytest.approx(expected, abs=4 * np.std(values) / np.sqrt(len(values)) + finite)


@pytest.fixture(
    params=[np.full(IMAGES, 8), np.random.default_rng(1).integers(2, 15, IMAGES)], ids=["equal", "unequal"]
)
def known(request):
    """S = 0.5, V = 1; repeats, and scores of the true drive."""
    condition, response, drive = gaussian(0.5, 1.0, request.param)
    return (
        request.param,
        response,
        drive,
        repeat_scores(group_repeats(condition, response, drive), response, drive),
    )


def test_signal_power_is_unbiased_however_unequal_the_repeats(known):
    within(known[3].signal_power, 0.5)


def test_a_few_images_of_few_repeats_give_an_unbiased_signal_power_as_well():
    condition, response, drive = gaussian(0.5, 1.0, [2, 3, 2, 7, 4], units=20_000)
    within(repeat_scores(group_repeats(condition, response, drive), response, drive).signal_power, 0.5)


def test_ceilings_and_correlations_of_the_truth_meet_their_closed_forms(known):
    repeats, response, drive, scores = known
    of_mean = np.sqrt(0.5 / (0.5 + (1 / repeats).mean()))
    within(scores.ceiling, np.sqrt(0.5 / 1.5), 1 / IMAGES)
    within(scores.cc_max, of_mean, 1 / IMAGES)
    within(scores.corr_to_mean, of_mean, 1 / IMAGES)
    within(scores.cc_norm, 1, 1 / IMAGES)
    within(pearson(drive, response), np.sqrt(0.5 / 1.5), 1 / IMAGES)
    within(pearson(drive, response) / scores.ceiling, 1, 1 / IMAGES)
    np.testing.assert_allclose(scores.cc_norm * scores.cc_max, scores.corr_to_mean, rtol=1e-12)


def test_the_variance_of_all_trials_is_too_small_and_its_ceiling_too_high():
    condition, response, drive = gaussian(4.0, 1.0, np.full(12, 10), units=20_000)
    scores = repeat_scores(group_repeats(condition, response, drive), response, drive)
    within(scores.signal_power, 4)
    within(response.var(0, ddof=1), 1 + 4 * (1 - 9 / 119))
    naive = np.sqrt(scores.signal_power / response.var(0, ddof=1))
    assert (naive > scores.ceiling).all()


def test_a_perfect_prediction_explains_all_and_a_scaled_one_what_its_gain_leaves(known):
    repeats, response, drive, perfect = known
    condition = gaussian(0.5, 1.0, repeats)[0]
    within(perfect.fev, 0.5 / 1.5, 1 / IMAGES)
    within(perfect.feve, 1, 1 / IMAGES)
    for gain in (0.0, 0.5, 2.0):
        scores = repeat_scores(group_repeats(condition, response, gain * drive), response, gain * drive)
        within(scores.feve, 1 - (1 - gain) ** 2, 4 / IMAGES)
        if gain:
            np.testing.assert_allclose(scores.cc_norm, perfect.cc_norm)


def test_units_without_signal_power_have_no_ceiling_and_about_half_of_the_silent_to_images_are_such():
    condition, response, drive = gaussian(0.0, 1.0, np.full(40, 5))
    scores = repeat_scores(group_repeats(condition, response, drive), response, drive)
    without = np.isnan(scores.ceiling)
    np.testing.assert_array_equal(without, scores.signal_power <= 0)
    np.testing.assert_array_equal(without, np.isnan(scores.cc_max))
    assert without.mean() == pytest.approx(0.5, abs=0.06)


def test_the_oracle_is_over_repeated_trials_alone():
    condition, response, _ = gaussian(1.0, 1.0, [1, 4, 1, 3, 5], units=3)
    repeats = group_repeats(condition, response, response)
    kept = np.isin(condition, ["1", "3", "4"])
    want = jackknife_oracle(response[kept], condition[kept].astype(int))
    np.testing.assert_allclose(repeats.oracle(response), want)

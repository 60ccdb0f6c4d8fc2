"""The definitions agree where all units are reliable, and one of them explodes where some are not."""

from __future__ import annotations

import numpy as np
import pytest

from inception_loop.dataset.oracle import jackknife_oracle
from inception_loop.training.fraction_oracle import ratio_of_means, slope, unit_fractions
from inception_loop.training.scores import pearson

UNITS, IMAGES, REPEATS, WANTED = 1500, 300, 10, 0.7


def scored(signal, seed=0):
    """(test correlation, oracle) of units of so much signal (V = 1), predicted at 0.7 of their oracle.

    A prediction that correlates by c with the drive reaches c √(S/(S+V)) of single trials, and the oracle is
    S/√((S+V)(S+V/(R−1))).
    """
    rng = np.random.default_rng(seed)
    drive = rng.normal(size=(IMAGES, len(signal)))
    shared = WANTED * np.sqrt(signal / (signal + 1 / (REPEATS - 1)))
    guess = shared * drive + np.sqrt(1 - shared**2) * rng.normal(size=drive.shape)
    image = np.repeat(np.arange(IMAGES), REPEATS)
    response = (np.sqrt(signal) * drive)[image] + rng.normal(size=(image.size, len(signal)))
    return pearson(guess[image], response), jackknife_oracle(response, image)


@pytest.fixture(scope="module")
def reliable():
    return scored(np.random.default_rng(1).uniform(0.2, 2, UNITS))


def test_all_three_agree_on_reliable_units(reliable):
    each = unit_fractions(*reliable)
    error = each.std() / np.sqrt(UNITS)
    # the oracle is lower by a term of order 1/I than its expectation, the fraction higher by it
    finite = WANTED * (1 + 1 / (0.2 * REPEATS)) / IMAGES
    for found in (each.mean(), slope(*reliable), ratio_of_means(*reliable)):
        assert found == pytest.approx(WANTED, abs=4 * error + finite)


def test_units_with_an_oracle_near_0_spoil_the_mean_of_fractions_alone(reliable):
    deaf = scored(np.zeros(500), seed=2)
    both = tuple(np.concatenate(pair) for pair in zip(reliable, deaf, strict=True))
    each = unit_fractions(*both)
    assert np.isnan(each).sum() == (both[1] <= 0).sum() > 150
    assert np.nanmax(np.abs(each)) > 10
    assert np.nanstd(each) > 5 * unit_fractions(*reliable).std()
    for definition in (slope, ratio_of_means):
        assert definition(*both) == pytest.approx(definition(*reliable), abs=0.01)


def test_a_model_that_knows_the_state_of_the_animal_is_compared_fairly_with_it_frozen():
    rng = np.random.default_rng(3)
    signal, state, noise = 0.5, 0.5, 0.5
    drive, image = rng.normal(size=(IMAGES, UNITS)), np.repeat(np.arange(IMAGES), REPEATS)
    frozen = np.sqrt(signal) * drive[image]
    recorded = frozen + np.sqrt(state) * rng.normal(size=frozen.shape)
    response = recorded + np.sqrt(noise) * rng.normal(size=frozen.shape)
    oracle = jackknife_oracle(response, image)  # to which state is noise
    of_truth = np.sqrt((signal + (state + noise) / (REPEATS - 1)) / signal)  # R - 1 repeats
    for predicted, fraction in ((frozen, 1), (recorded, np.sqrt((signal + state) / signal))):
        each = unit_fractions(pearson(predicted, response), oracle)
        finite = fraction * (1 + 2 / REPEATS) / IMAGES
        error = 4 * each.std() / np.sqrt(UNITS)
        assert each.mean() == pytest.approx(fraction * of_truth, abs=error + finite)


def test_the_slope_is_that_of_least_squares_and_weighs_reliable_units_more():
    test_corr, oracle = np.array([0.1, 0.3, 0.2]), np.array([0.1, 0.6, 0.3])
    want = np.linalg.lstsq(oracle[:, None], test_corr, rcond=None)[0][0]
    assert slope(test_corr, oracle) == pytest.approx(want)
    assert abs(slope(test_corr, oracle) - 0.5) < abs(ratio_of_means(test_corr, oracle) - 0.5)


def test_units_that_lack_a_score_do_not_count_and_no_unit_has_no_fraction():
    test_corr, oracle = np.array([0.3, np.nan, 0.5]), np.array([0.6, 0.9, np.nan])
    assert slope(test_corr, oracle) == pytest.approx(0.5)
    assert ratio_of_means(test_corr, oracle) == pytest.approx(0.5)
    assert np.isnan(slope(test_corr[1:], oracle[1:]))
    assert np.isnan(ratio_of_means(test_corr[1:], oracle[1:]))
    assert np.isnan(ratio_of_means(np.array([0.1]), np.array([-0.1])))

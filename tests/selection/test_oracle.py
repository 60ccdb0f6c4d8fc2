from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from inception_loop.dataset.oracle import jackknife_oracle
from inception_loop.errors import DataError
from inception_loop.selection.oracle import oracle


def slow(responses, shown, min_repeats):
    """Trial by trial, unit by unit."""
    rows, predictions = [], []
    for image in np.unique(shown):
        trials = np.flatnonzero(shown == image)
        if len(trials) < min_repeats:
            continue
        for trial in trials:
            rows.append(trial)
            predictions.append(responses[[t for t in trials if t != trial]].astype(np.float64).mean(axis=0))
    single, others = responses[rows].astype(np.float64), np.array(predictions)
    pearson = [stats.pearsonr(a, b).statistic for a, b in zip(single.T, others.T, strict=True)]
    spearman = [stats.spearmanr(a, b).statistic for a, b in zip(single.T, others.T, strict=True)]
    return np.array(pearson), np.array(spearman)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_oracle_equals_the_slow_one(seed, many_ties):
    rng = np.random.default_rng(seed)
    shown = np.repeat([f"i{k}" for k in range(12)], rng.integers(1, 9, 12))
    shown = rng.permutation(np.append(shown, ["j"] * 6))
    responses = (
        rng.normal(size=(shown.size, 5)) + rng.normal(size=(13, 5))[np.unique(shown, return_inverse=True)[1]]
    )
    responses = (np.maximum(np.round(2 * responses), 0) if many_ties else responses).astype(np.float32)
    responses[0] += 1  # no unit is silent
    responses[shown.tolist().index("j")] += 2
    table = oracle(responses, shown, 5)
    pearson, spearman = slow(responses, shown, 5)
    np.testing.assert_allclose(table["oracle_pearson"], pearson, atol=1e-10)
    np.testing.assert_allclose(table["oracle_spearman"], spearman, atol=1e-10)


def test_ties_share_the_average_of_their_ranks():
    responses = np.array([[0], [0], [0], [4], [0], [4], [8], [8]], np.float32)  # sums are exact
    shown = np.array(list("aaabbbcc"))
    keep = slow(responses, shown, 2)[1]
    np.testing.assert_allclose(oracle(responses, shown, 2)["oracle_spearman"], keep, atol=1e-12)


def test_images_with_fewer_repeats_are_left_out():
    rng = np.random.default_rng(0)
    shown = np.array(["a"] * 5 + ["b"] * 6 + ["c"] * 4)
    responses = rng.random((15, 3), dtype=np.float32)
    table = oracle(responses, shown, 5)
    assert set(table["n_images"]) == {2}
    assert set(table["n_trials"]) == {11}
    np.testing.assert_allclose(
        table["oracle_pearson"], oracle(responses[:11], shown[:11], 5)["oracle_pearson"]
    )


def test_a_unit_that_does_not_vary_has_no_oracle():
    rng = np.random.default_rng(0)
    shown = np.repeat(list("abcd"), 5)
    responses = np.stack([np.zeros(20), np.full(20, 0.1), rng.random(20)], axis=1).astype(np.float32)
    table = oracle(responses, shown, 5)
    assert table["oracle_pearson"].is_null().to_list() == [True, True, False]
    assert table["oracle_spearman"].is_null().to_list() == [True, True, False]


def test_the_order_of_trials_and_units_does_not_matter():
    rng = np.random.default_rng(1)
    shown, responses = np.repeat(list("abcd"), 5), rng.random((20, 4), dtype=np.float32)
    trials, units = rng.permutation(20), rng.permutation(4)
    want = oracle(responses, shown)["oracle_pearson"].to_numpy()[units]
    got = oracle(responses[trials][:, units], shown[trials])["oracle_pearson"]
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_gain_and_offset_of_a_unit_do_not_matter():
    rng = np.random.default_rng(2)
    shown, responses = np.repeat(list("abcd"), 5), rng.random((20, 4), dtype=np.float32)
    want = oracle(responses, shown)["oracle_pearson"]
    np.testing.assert_allclose(oracle(4 * responses + 16, shown)["oracle_pearson"], want, atol=1e-5)


def test_the_expectation_is_met_on_many_units():
    rng = np.random.default_rng(3)
    images, repeats, units, signal, noise = 100, 10, 400, 0.3, 1.0
    drive = rng.normal(scale=signal**0.5, size=(images, 1, units))
    responses = (drive + rng.normal(scale=noise**0.5, size=(images, repeats, units))).reshape(-1, units)
    shown = np.repeat([f"i{k}" for k in range(images)], repeats)
    got = oracle(responses.astype(np.float32), shown)["oracle_pearson"].mean()
    limit = signal / np.sqrt((signal + noise) * (signal + noise / (repeats - 1)))
    assert got == pytest.approx(limit, rel=0.03)  # and a little below it: the images are finite


def test_no_image_with_enough_repeats_is_an_error():
    with pytest.raises(DataError, match="at most 4 times"):
        oracle(np.zeros((8, 2), np.float32), np.repeat(["a", "b"], 4))
    with pytest.raises(DataError, match="at most 0 times"):
        oracle(np.zeros((0, 2), np.float32), np.array([], dtype=np.str_))


def test_it_is_the_oracle_of_the_dataset_room():
    rng = np.random.default_rng(3)
    image = rng.permutation(np.repeat(np.arange(9), [5, 6, 7, 5, 8, 5, 5, 9, 5]))
    values = (rng.gamma(1, 1, (9, 6))[image] + rng.gamma(1, 1, (image.size, 6))).astype(np.float32)
    values[:, 5] = 2
    table = oracle(values, image.astype(str), 5)["oracle_pearson"]
    found = jackknife_oracle(values, image)
    np.testing.assert_allclose(found[:5], table[:5].to_numpy(), rtol=1e-9)
    assert np.isnan(found[5])
    assert table[5] is None

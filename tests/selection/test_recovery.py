from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import DataError
from inception_loop.selection.oracle import oracle
from inception_loop.selection.recovery import expected_oracle, oracle_error


def simulate(rng, signal, noise, repeats, units):
    """Normal trials about normal image means; also the signal variance that the drawn images really have."""
    drive = rng.normal(scale=np.sqrt(signal), size=(len(repeats), units))
    shown = np.repeat(np.arange(len(repeats)), repeats)
    responses = drive[shown] + rng.normal(scale=np.sqrt(noise), size=(shown.size, units))
    return responses, shown, drive.var(axis=0, ddof=1)


@pytest.mark.parametrize(
    ("signal", "repeats"),
    [(0.3, [10] * 40), (0.3, [8] * 20), (1.0, [5] * 40), (0.3, [10, 9, 8, 7, 5] * 8), (3.0, [10] * 30)],
)
def test_expectation_holds_for_few_images(signal, repeats):
    rng = np.random.default_rng(0)
    responses, shown, actual = simulate(rng, signal, 1.0, repeats, 1500)
    shown = np.char.mod("i%03d", shown)
    estimate = oracle(responses.astype(np.float32), shown)["oracle_pearson"]
    want = expected_oracle(actual, np.ones(1500), np.array(repeats)).mean()
    assert estimate.mean() == pytest.approx(want, abs=0.002 * want + 3 * estimate.std() / np.sqrt(1500))


def test_many_images_lead_to_the_closed_form():
    signal, noise = np.array([0.3, 1.0]), np.array([1.0, 0.5])
    for r in (4, 10):
        want = signal / np.sqrt((signal + noise) * (signal + noise / (r - 1)))
        np.testing.assert_allclose(expected_oracle(signal, noise, np.full(10**6, r)), want, rtol=1e-5)


def test_without_noise_the_oracle_is_perfect():
    np.testing.assert_allclose(expected_oracle(np.array([2.0]), np.array([0.0]), np.full(10, 5)), 1.0)


def test_an_image_shown_once_has_no_oracle():
    with pytest.raises(DataError, match="2 or more"):
        expected_oracle(np.ones(1), np.ones(1), np.array([1, 5]))


def test_error_is_over_units_with_signal_and_an_oracle():
    truth = pl.DataFrame(
        {
            "unit_id": [1, 2, 3, 4],
            "signal_variance": [1.0, 0.1, 1.0, 0.0],
            "noise_variance": [1.0, 1.0, 1.0, 0.0],
        }
    )
    table = pl.DataFrame({"unit_id": [1, 2, 3, 4], "oracle_pearson": [0.5, 0.9, None, 0.9]})
    error = oracle_error(table, truth, np.full(40, 10))
    want = expected_oracle(np.ones(1), np.ones(1), np.full(40, 10))[0]
    assert error.n_units == 1
    assert error.mean_expectation == pytest.approx(want)
    assert error.relative_error == pytest.approx(abs(0.5 - want) / want)
    with pytest.raises(DataError, match="none of 4 units"):
        oracle_error(table, truth, np.full(40, 10), least_signal=2.0)

"""The numpy oracle against the statement in SQL, the slow obvious one and its closed form."""

import numpy as np
import pytest

from inception_loop.dataset import unit_columns
from inception_loop.dataset.oracle import jackknife_oracle


@pytest.fixture(params=[1, 10**9], ids=["unit by unit", "all at once"])
def blocks(request, monkeypatch):
    """However many units are worked on at a time."""
    monkeypatch.setattr(unit_columns, "BLOCK_BYTES", request.param)


def repeated(repeats, units, signal, noise, seed=0):
    """Responses of gaussian units to images shown so often each, in random order, and the images."""
    rng = np.random.default_rng(seed)
    image = rng.permutation(np.repeat(np.arange(len(repeats)), repeats))
    drive = np.sqrt(signal) * rng.normal(size=(len(repeats), units))
    return drive[image] + np.sqrt(noise) * rng.normal(size=(image.size, units)), image


@pytest.mark.usefixtures("blocks")
def test_each_trial_is_correlated_with_the_mean_of_the_other_repeats():
    values, image = repeated([2, 3, 7, 5], 6, 1.0, 1.0)
    values[:, 5] = 2
    others = [
        values[[other for other in np.flatnonzero(image == image[t]) if other != t]].mean(0)
        for t in range(image.size)
    ]
    want = [np.corrcoef(a, b)[0, 1] for a, b in zip(values.T[:5], np.array(others).T[:5], strict=True)]
    found = jackknife_oracle(values, image)
    np.testing.assert_allclose(found[:5], want, rtol=1e-12)
    assert np.isnan(found[5])


@pytest.mark.parametrize(
    ("signal", "repeats", "limit"), [(1.0, 10, 0.6708), (0.3, 10, 0.4104), (0.3, 4, 0.3306)]
)
def test_the_mean_over_units_meets_its_expectation(signal, repeats, limit):
    units, images = 2000, 400
    assert signal / np.sqrt((signal + 1) * (signal + 1 / (repeats - 1))) == pytest.approx(limit, abs=5e-5)
    values, image = repeated([repeats] * images, units, signal, 1.0)
    found = jackknife_oracle(values, image)
    finite = limit * (signal + 1 / repeats) / signal / images  # of order 1/I: the images are finite
    assert found.mean() == pytest.approx(limit, abs=finite + 4 * found.std() / np.sqrt(units))


def test_no_trials_have_no_oracle():
    assert np.isnan(jackknife_oracle(np.empty((0, 3), np.float32), np.empty(0, np.int64))).all()

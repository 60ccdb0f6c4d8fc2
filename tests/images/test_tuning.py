"""Contrast tuning of cells whose curve is known."""

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.memory import FittingBatches
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.tuning import contrast_tuning


@pytest.fixture
def pictures(even):
    return 110 + 200 * even[:4]


def test_a_linear_unit_has_a_straight_rising_curve_that_ends_at_the_clipping_limit(
    linear_cells, even, pictures
):
    curve = contrast_tuning(unit_objective(linear_cells, range(4)), pictures, gains=50)
    assert curve.monotonic.all()
    for unit in range(4):
        straight = np.polyfit(curve.contrasts[unit], curve.activations[unit], 1)
        assert np.abs(np.polyval(straight, curve.contrasts[unit]) - curve.activations[unit]).max() < 1e-2
        # a filter of unit norm answers √(H·W) per grey level of contrast
        assert straight[0] == pytest.approx(48.0, rel=1e-3)
    assert np.allclose(curve.contrasts[:, 0], 0.01)
    assert np.allclose(curve.max_contrast, curve.sat_contrast, rtol=1e-5)
    assert np.allclose(curve.img_mean, 110, atol=1e-3)


def test_the_limits_are_those_of_the_pixels(linear_cells, pictures):
    curve = contrast_tuning(unit_objective(linear_cells, range(4)), pictures, gains=5)
    for unit, image in enumerate(pictures.double().numpy()):
        delta = image - image.mean()
        first = min((255 - image.mean()) / delta.max(), image.mean() / -delta.min())
        assert curve.sat_contrast[unit] == pytest.approx(first * image.std(), rel=1e-5)
        assert curve.lim_contrast[unit] == pytest.approx(255 * image.std() / np.ptp(image), rel=1e-5)
        assert curve.lim_contrast[unit] >= curve.sat_contrast[unit] * (1 - 1e-6)


def test_a_cell_that_prefers_a_middle_contrast_is_not_monotonic(pictures):
    def band(x, rows):
        return torch.exp(-((x.flatten(1).std(1, correction=0) - 5.0) ** 2))

    curve = contrast_tuning(band, pictures, gains=200)
    assert not curve.monotonic.any()
    assert np.allclose(curve.max_contrast, 5.0, atol=0.2)
    assert np.allclose(curve.max_activation, 1.0, atol=0.02)


def test_batches_do_not_matter(energy_cells, pictures):
    objective = unit_objective(energy_cells, range(4))
    one, other = (
        contrast_tuning(objective, pictures, gains=30, batches=FittingBatches(b)) for b in (7, 1000)
    )
    assert np.array_equal(one.activations, other.activations)


def test_a_flat_image_has_no_tuning():
    with pytest.raises(DataError, match="a flat image: unit 0; expected a picture"):
        contrast_tuning(lambda x, rows: x.mean((1, 2)), torch.full((1, 4, 4), 9.0))

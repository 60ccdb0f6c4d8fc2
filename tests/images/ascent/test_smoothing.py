"""Blur is SciPy's; the 1/f filter has the published gains and treats both signs of a frequency alike."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from inception_loop.images.ascent.smoothing import (
    BlurRamp,
    GaussianSmoothing,
    OneOverF,
    gaussian_blur,
    one_over_f_filter,
)
from inception_loop.images.ascent.steps import Ramp

IMAGES = torch.randn(3, 36, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.01, 0.124, 0.126, 0.5, 1.0, 1.5, 7.3, 15.0])
def test_blur_is_the_gaussian_filter_of_scipy(sigma):
    ours = gaussian_blur(IMAGES, sigma)
    theirs = np.stack([gaussian_filter(image, sigma, mode="reflect", truncate=4) for image in IMAGES.numpy()])
    assert np.abs(ours.numpy() - theirs).max() < 1e-12


def test_blur_keeps_mean_and_range():
    grey = IMAGES.clamp(-1, 1)
    blurred = GaussianSmoothing(1.3)(grey)
    assert torch.allclose(blurred.mean((1, 2)), grey.mean((1, 2)))
    assert blurred.abs().max() <= 1


def test_a_blur_ramp_ends_where_it_should():
    blur = BlurRamp(Ramp(1.5, 0.01))
    assert torch.equal(blur(IMAGES, 0.0), gaussian_blur(IMAGES, 1.5))
    assert torch.equal(blur(IMAGES, 1.0), IMAGES)


def published_filter(height, width, exponent):
    """As published, off by one for negative frequencies."""
    y, x = np.arange(height), np.arange(width)
    dh, dw = np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x)
    gain = 1 / np.maximum(1, (dh[:, None] ** 2 + dw**2) ** exponent)
    return gain / gain.mean()


def test_the_filter_has_the_published_gains():
    gain, published = one_over_f_filter(36, 64, 0.1), published_filter(36, 64, 0.1)
    assert gain.mean() == pytest.approx(1)
    assert (published.min(), published.max()) == pytest.approx((0.85, 1.74), abs=0.005)
    assert (gain.min(), gain.max()) == pytest.approx((0.86, 1.76), abs=0.005)
    assert gain[0, 4] / gain[0, 8] == pytest.approx(2**0.2)


def test_the_filter_acts_as_the_published_one_does():
    ours = OneOverF(0.1)(IMAGES)
    theirs = torch.fft.ifft2(torch.fft.fft2(IMAGES) * torch.from_numpy(published_filter(36, 64, 0.1))).real
    assert torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1] > 0.9999


@pytest.mark.parametrize("size", [(36, 64), (9, 7), (8, 5)])
def test_the_filter_treats_both_signs_of_a_frequency_alike_so_a_real_image_stays_real(size):
    gain = one_over_f_filter(*size, 0.1)
    assert np.array_equal(gain, np.roll(gain[::-1, ::-1], (1, 1), (0, 1)))
    image = torch.randn(2, *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    slow = torch.fft.ifft2(torch.fft.fft2(image) * torch.from_numpy(gain))
    assert slow.imag.abs().max() < 1e-12
    assert torch.allclose(OneOverF(0.1)(image), slow.real)


def test_an_exponent_of_zero_changes_nothing():
    assert torch.allclose(OneOverF(0.0)(IMAGES), IMAGES)

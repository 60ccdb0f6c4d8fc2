"""Smooth images and gradients: the symmetric 1/f filter and Gaussian blur, each image for itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.images.ascent.steps import Ramp


@lru_cache(maxsize=16)
def one_over_f_filter(height: int, width: int, exponent: float) -> npt.NDArray[np.float64]:
    """Return the gain of each spatial frequency, (height, width), mean 1.

    The gain is ``1 / max(1, (fy² + fx²)^exponent)`` with |f| in cycles per image (|fftfreq|), so the
    amplitude falls as radius^(−2·exponent). It is symmetric in the sign of each frequency, so filtering a
    real picture gives a real picture (the published filter is off by one for negative frequencies).

    Source: gradient preconditioning of Walker et al. 2019.

    Examples
    --------
    >>> gain = one_over_f_filter(4, 4, 0.5)
    >>> bool(np.isclose(gain.mean(), 1)), bool(np.isclose(gain[0, 1] / gain[0, 2], 2))
    (True, True)
    """
    fy = np.abs(np.fft.fftfreq(height)) * height
    fx = np.abs(np.fft.fftfreq(width)) * width
    gain = 1 / np.maximum(1.0, (fy[:, None] ** 2 + fx**2) ** exponent)
    return np.asarray(gain / gain.mean())


@dataclass(frozen=True)
class OneOverF:
    """Multiply each image's spectrum by `one_over_f_filter` (periodic borders)."""

    exponent: float

    def __call__(self, images: Tensor) -> Tensor:
        """Return the filtered (A, H, W) images."""
        height, width = images.shape[-2:]
        gain = torch.as_tensor(
            one_over_f_filter(height, width, self.exponent)[:, : width // 2 + 1],
            dtype=images.dtype,
            device=images.device,
        )
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(images) * gain, s=(height, width))
        return filtered


@lru_cache(maxsize=4096)
def gaussian_matrix(size: int, sigma: float) -> npt.NDArray[np.float64]:
    """Return the (size, size) matrix that blurs a row of pixels: Gaussian cut at 4 σ, mirrored borders.

    It is what ``scipy.ndimage.gaussian_filter1d(mode="reflect", truncate=4)`` does, as a matrix: the blur of
    a whole batch is two small matrix products. A σ under 1/8 px leaves every pixel as it is.
    """
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return np.eye(size)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    source = (np.arange(size)[:, None] + offsets) % (2 * size)
    source = np.where(source < size, source, 2 * size - 1 - source)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], source), weights / weights.sum())
    return matrix


@dataclass(frozen=True)
class GaussianSmoothing:
    """Blur each image with a Gaussian of ``sigma`` px (borders mirrored); 0 leaves it as it is."""

    sigma: float

    def __call__(self, images: Tensor) -> Tensor:
        """Return the blurred (A, H, W) images."""
        return gaussian_blur(images, self.sigma)


@dataclass(frozen=True)
class BlurRamp:
    """Blur each image with a σ that changes over the ascent, px."""

    sigma: Ramp

    def __call__(self, images: Tensor, progress: float) -> Tensor:
        """Return the blurred (A, H, W) images."""
        return gaussian_blur(images, self.sigma(progress))


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur (A, H, W) images with a Gaussian of ``sigma`` px, cut at 4 σ, borders mirrored."""
    if int(4 * sigma + 0.5) == 0:
        return images
    rows, columns = (
        torch.as_tensor(gaussian_matrix(size, sigma), dtype=images.dtype, device=images.device)
        for size in images.shape[-2:]
    )
    return rows @ images @ columns.T

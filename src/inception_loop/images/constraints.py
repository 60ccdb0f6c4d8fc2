"""What an image must satisfy while it is climbed: idempotent projections, each image for itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inception_loop.errors import DataError
from inception_loop.images.contrast import RANGE, match_contrast, rms_contrast


@dataclass(frozen=True)
class GreyRange:
    """Clip every pixel to ``low``..``high`` grey levels.

    Examples
    --------
    >>> GreyRange()(torch.tensor([[[-5.0, 300.0]]])).tolist()
    [[[0.0, 255.0]]]
    """

    low: float = RANGE[0]
    high: float = RANGE[1]

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) images within the range."""
        return images.clamp(self.low, self.high)


@dataclass(frozen=True)
class L2Norm:
    """Scale every image to an L2 norm of ``norm`` about ``about``, both grey levels; the mean is free."""

    norm: float
    about: float = 0.0

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) images at the norm."""
        delta = images - self.about
        length = delta.square().sum((1, 2), keepdim=True).sqrt()
        _refuse_flat(length.flatten())
        return self.about + delta * (self.norm / length)


@dataclass(frozen=True)
class FixedContrast:
    """Give every image the same mean and RMS contrast, both in grey levels; the range is free.

    That is an L2 norm of ``contrast · √(H·W)`` about the mean, with the mean fixed.
    """

    mean: float
    contrast: float

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) images at the mean and contrast."""
        delta = images - images.mean((1, 2), keepdim=True)
        spread = delta.square().mean((1, 2), keepdim=True).sqrt()
        _refuse_flat(spread.flatten())
        return self.mean + delta * (self.contrast / spread)


@dataclass(frozen=True)
class FixedContrastInRange:
    """The same mean and RMS contrast *and* the grey range, both exactly.

    Where no pixel leaves the range this is `FixedContrast`; where some do, the gain and offset are those at
    which the clipped image has the mean and contrast (`match_contrast`).
    """

    mean: float
    contrast: float
    low: float = RANGE[0]
    high: float = RANGE[1]

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) images within the range at the mean and contrast."""
        images = FixedContrast(self.mean, self.contrast)(images)
        clips = ((images < self.low) | (images > self.high)).flatten(1).any(1)
        if clips.any():
            images[clips] = match_contrast(images[clips], self.mean, self.contrast, self.low, self.high)
        return images


@dataclass(frozen=True)
class AtMostContrast:
    """Scale down to an RMS contrast of ``contrast`` about the grey level ``about``; lower contrasts stay.

    Differentiable. The published variant 2 shows the network every image through this.
    """

    contrast: float
    about: float

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) images with at most that contrast."""
        gain = (self.contrast / rms_contrast(images)).clamp(max=1.0)
        return self.about + (images - self.about) * gain[:, None, None]


def _refuse_flat(spread: Tensor) -> None:
    if not bool((spread > 0).all()):
        row = int(torch.nonzero(~(spread > 0))[0])
        raise DataError(
            f"image {row} of the batch is flat; expected a picture to scale; start from another seed"
        )

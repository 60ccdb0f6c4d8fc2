"""What an image must satisfy while it is climbed: idempotent projections, each image for itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inception_loop.errors import DataError
from inception_loop.images.ascent.ascend import Transform
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


@dataclass(frozen=True)
class OnlyInside:
    """Leave an image free where ``free`` is true and hold every other pixel at ``fixed``.

    Free outside of a mask is ``OnlyInside(~mask, fixed)``. For masks with soft edges, which are no
    projection, see `Blend`.

    Attributes
    ----------
    free : (B, H, W) bool, one mask an item of the initial batch
    fixed : (B, H, W) grey levels

    Examples
    --------
    >>> free, fixed = torch.tensor([[[True, False]]]), torch.tensor([[[7.0, 7.0]]])
    >>> OnlyInside(free, fixed)(torch.tensor([[[1.0, 2.0]]])).tolist()
    [[[1.0, 7.0]]]
    """

    free: Tensor
    fixed: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) images with all but the free pixels replaced."""
        return torch.where(self.free, images, self.fixed)

    def take(self, rows: Tensor) -> OnlyInside:
        """Return the constraint of some items."""
        return OnlyInside(self.free[rows], self.fixed[rows])


@dataclass(frozen=True)
class Blend:
    """Show ``weight · image + (1 − weight) · other``: the image through a soft mask over another picture.

    Differentiable, for `Schedule.present`; blended twice it would fade, so it is no constraint.

    Attributes
    ----------
    weight : (B, H, W), 0..1, one an item of the initial batch
    other : (B, H, W) grey levels
    """

    weight: Tensor
    other: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) blended images."""
        return self.other + self.weight * (images - self.other)

    def take(self, rows: Tensor) -> Blend:
        """Return the blend of some items."""
        return Blend(self.weight[rows], self.other[rows])


@dataclass(frozen=True)
class WeightedContrast:
    """Fix mean and RMS contrast of each image, every pixel counting by how much of it a soft mask shows.

    Then pixels are clipped to the range, which only lowers the contrast. Behind a `Blend` with the uniform
    grey ``mean`` such an image adds nothing to the mean of what is shown.

    Attributes
    ----------
    weight : (B, H, W), 0..1, one an item of the initial batch
    mean, contrast, low, high : grey levels
    """

    weight: Tensor
    mean: float
    contrast: float
    low: float = RANGE[0]
    high: float = RANGE[1]

    def __call__(self, images: Tensor) -> Tensor:
        """Return the (A, H, W) images at the mean and contrast."""
        weight = self.weight / self.weight.sum((1, 2), keepdim=True)
        delta = images - (weight * images).sum((1, 2), keepdim=True)
        spread = (weight * delta.square()).sum((1, 2), keepdim=True).sqrt()
        _refuse_flat(spread.flatten())
        return (self.mean + delta * (self.contrast / spread)).clamp(self.low, self.high)

    def take(self, rows: Tensor) -> WeightedContrast:
        """Return the constraint of some items."""
        return WeightedContrast(self.weight[rows], self.mean, self.contrast, self.low, self.high)


@dataclass(frozen=True)
class EachOfSet:
    """Apply a transform to every image of sets (A, K, H, W) for itself."""

    transform: Transform

    def __call__(self, sets: Tensor) -> Tensor:
        """Return the (A, K, H, W) transformed sets."""
        return self.transform(sets.flatten(0, 1)).reshape(sets.shape)


def _refuse_flat(spread: Tensor) -> None:
    if not bool((spread > 0).all()):
        raise DataError(
            "an image of the batch is flat or no number; expected a picture to scale; start from another seed"
        )

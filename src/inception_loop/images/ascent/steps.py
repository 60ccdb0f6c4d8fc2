"""How far one iteration goes: step sizes that change over the ascent, each image normalised for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

StepRule = Callable[[Tensor, float], Tensor]
"""(A, H, W) gradient, progress 0..1 → (A, H, W) change of the image in grey levels."""


@dataclass(frozen=True)
class Ramp:
    """A value that goes linearly from ``start`` to ``end``; at iteration i of n the progress is i/n.

    Examples
    --------
    >>> Ramp(3.0, 1.0)(0.25)
    2.5
    """

    start: float
    end: float

    def __call__(self, progress: float) -> float:
        """Return the value at a progress of 0..1."""
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True)
class MeanAbsoluteStep:
    """The published rule: the mean absolute change of an image's pixels is ``size`` grey levels.

    The mean is taken over each image for itself (the published code takes it over the whole batch, so that
    there a unit's image depends on who shares its batch).
    """

    size: Ramp

    def __call__(self, gradient: Tensor, progress: float) -> Tensor:
        """Return the change of the images, grey levels."""
        return gradient * _ratio(self.size(progress), gradient.abs().mean((1, 2), keepdim=True))


@dataclass(frozen=True)
class RmsStep:
    """The root mean square change of an image's pixels is ``size`` grey levels.

    Examples
    --------
    >>> RmsStep(Ramp(2.0, 2.0))(torch.tensor([[[3.0, 0.0], [0.0, -3.0]]]), 0.0).square().mean().sqrt().item()
    2.0
    """

    size: Ramp

    def __call__(self, gradient: Tensor, progress: float) -> Tensor:
        """Return the change of the images, grey levels."""
        return gradient * _ratio(self.size(progress), _rms(gradient))


def _rms(gradient: Tensor) -> Tensor:
    """Return the (A, 1, 1) root mean square, safe for gradients whose squares leave float32's range."""
    peak = gradient.abs().amax((1, 2), keepdim=True)
    scaled = gradient / torch.where(peak > 0, peak, 1.0)
    return peak * scaled.square().mean((1, 2), keepdim=True).sqrt()


def _ratio(size: float, scale: Tensor) -> Tensor:
    """``size / scale``, and 0 where there is no gradient left."""
    return torch.where(scale > 0, size / torch.where(scale > 0, scale, 1.0), 0.0)

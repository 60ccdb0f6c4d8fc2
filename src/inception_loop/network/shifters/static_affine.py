"""The field's plain shifter: an affine map of the eye position, bounded."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from inception_loop.artifacts.identity import Config
from inception_loop.network.shifters.shifter import ShifterModule

START = 1e-6
"""S.d. of the initial weights."""


class StaticAffine2d(Config):
    """Eye position → shift of all receptive fields: ``tanh(W eye + b)``."""

    type: Literal["StaticAffine2d"] = "StaticAffine2d"
    bias: bool = Field(True, description="Learn an offset, the shift of the mean eye position.")
    gamma: float = Field(1e-3, ge=0, description="Strength of the mean square of W.")

    def build(self, generator: torch.Generator) -> AffineShifter:
        """Make the shifter of one scan."""
        return AffineShifter(self, generator)


class AffineShifter(ShifterModule):
    """StaticAffine2d: ``tanh(W eye + b)``, so that a shift stays within one map half-side.

    Parameters
    ----------
    config
        Bias and regulariser.
    generator
        Source of the initial W, normal with s.d. 1e-6: nothing to speak of is shifted yet. Eye positions are
        normalised, so that the published start of b, minus the mean eye position, is 0.

    Attributes
    ----------
    weight : W, (2, 2), shift × eye
    bias : (2,), None without

    Examples
    --------
    >>> shifter = AffineShifter(StaticAffine2d(), torch.Generator().manual_seed(1))
    >>> shifter(torch.ones(4, 2)).shape, bool(shifter(torch.ones(4, 2)).abs().max() < 1e-4)
    (torch.Size([4, 2]), True)
    """

    def __init__(self, config: StaticAffine2d, generator: torch.Generator) -> None:
        super().__init__()
        self.gamma = config.gamma
        self.weight = nn.Parameter(torch.randn(2, 2, generator=generator) * START)
        self.bias = nn.Parameter(torch.zeros(2)) if config.bias else None

    def forward(self, eye: Tensor) -> Tensor:
        """(B, 2) normalised eye centre (x, y) → (B, 2) shift (x, y) in [-1, 1], units of the map."""
        return torch.tanh(nn.functional.linear(eye, self.weight, self.bias))

    def regularizer(self) -> Tensor:
        """Mean square of W, with its strength."""
        return self.gamma * self.weight.square().mean()

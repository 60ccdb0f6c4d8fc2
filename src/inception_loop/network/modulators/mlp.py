"""The modulator of the closed loop: a small perceptron."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.artifacts.identity import Config
from inception_loop.network.perceptron import linear


class MLPModulator(Config):
    """Behaviour → a gain a unit: ReLU layers, then the exponential of a linear layer."""

    type: Literal["MLP"] = "MLP"
    layers: int = Field(2, ge=1, description="Hidden layers.")
    hidden: int = Field(10, ge=1, description="Units of each hidden layer.")
    gamma_modulator: float = Field(0.0, ge=0, description="Strength of the L1 norm (mean) of the last layer.")

    def build(self, units: int, generator: torch.Generator) -> PerceptronModulator:
        """Make the modulator of one scan with so many units."""
        return PerceptronModulator(self, units, generator)


class PerceptronModulator(nn.Module):
    """MLP: behaviour → gain a unit, ReLU layers and the exponential of a linear layer.

    Parameters
    ----------
    config
        Layers and their width.
    units
        Number of units N.
    generator
        Source of the initial weights. The last layer starts as zero: every gain is 1.

    Examples
    --------
    >>> modulator = PerceptronModulator(MLPModulator(), 2, torch.Generator().manual_seed(1))
    >>> modulator(torch.randn(1, 3))
    tensor([[1., 1.]], grad_fn=<ExpBackward0>)
    """

    def __init__(self, config: MLPModulator, units: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        widths = [3, *[config.hidden] * config.layers]
        self.hidden = nn.ModuleList(linear(into, out, generator) for into, out in pairwise(widths))
        self.last = linear(config.hidden, units, generator, scale=0.0)

    def forward(self, behavior: Tensor, units: Tensor | None = None, *, paired: bool = False) -> Tensor:
        """Give the gains of all units, of some, or of one a trial.

        Parameters
        ----------
        behavior
            (B, 3) pupil radius, its derivative and running, each divided by its s.d.
        units
            (U,) units wanted; None is all of them.
        paired
            Unit ``units[b]`` for trial b only (then U = B).

        Returns
        -------
        Tensor
            (B, U) positive gains, or (B,) when paired.
        """
        for layer in self.hidden:
            behavior = functional.relu(layer(behavior))
        weight = self.last.weight if units is None else self.last.weight[units]
        bias = self.last.bias if units is None else self.last.bias[units]
        if paired:
            return torch.exp((behavior * weight).sum(1) + bias)
        return torch.exp(functional.linear(behavior, weight, bias))

    def regularizer(self) -> Tensor:
        """Mean absolute weight of the last layer, with its strength."""
        return self.config.gamma_modulator * self.last.weight.abs().mean()

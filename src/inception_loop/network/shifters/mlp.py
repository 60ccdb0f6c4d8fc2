"""The shifter of the closed loop: a small perceptron."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from inception_loop.artifacts.identity import Config
from inception_loop.network.perceptron import linear
from inception_loop.network.shifters.shifter import ShifterModule


class MLPShifter(Config):
    """Eye position → shift of all receptive fields, a small network with tanh after every layer."""

    type: Literal["MLP"] = "MLP"
    shift_layers: int = Field(3, ge=1, description="Layers, the last one included.")
    hidden: int = Field(5, ge=1, description="Units of the layers before the last.")

    def build(self, generator: torch.Generator) -> PerceptronShifter:
        """Make the shifter of one scan."""
        return PerceptronShifter(self, generator)


class PerceptronShifter(ShifterModule):
    """MLP: eye position → shift, tanh after every layer, so that a shift stays within one map half-side.

    Parameters
    ----------
    config
        Layers and their width.
    generator
        Source of the initial weights. The last layer starts as zero: nothing is shifted yet.

    Examples
    --------
    >>> shifter = PerceptronShifter(MLPShifter(), torch.Generator().manual_seed(1))
    >>> shifter(torch.randn(4, 2)).abs().max().item()
    0.0
    """

    def __init__(self, config: MLPShifter, generator: torch.Generator) -> None:
        super().__init__()
        widths = [2, *[config.hidden] * (config.shift_layers - 1), 2]
        last = len(widths) - 2
        self.layers = nn.ModuleList(
            linear(into, out, generator, scale=float(index != last))
            for index, (into, out) in enumerate(pairwise(widths))
        )

    def forward(self, eye: Tensor) -> Tensor:
        """(B, 2) normalised eye centre (x, y) → (B, 2) shift (x, y) in [-1, 1], units of the map."""
        for layer in self.layers:
            eye = torch.tanh(layer(eye))
        return eye

    def regularizer(self) -> Tensor:
        """No penalty."""
        return torch.zeros(())

"""A linear layer whose start comes from an explicit generator."""

from __future__ import annotations

import math

import torch
from torch import nn


def linear(into: int, out: int, generator: torch.Generator, *, scale: float = 1.0) -> nn.Linear:
    """Make a linear layer, weights and bias uniform in ± ``scale / sqrt(into)``.

    Parameters
    ----------
    into, out
        Inputs and outputs.
    generator
        Source of the draw.
    scale
        0 makes a layer that starts as zero.
    """
    # Neither drawn from the global generator, nor through `skip_init`, which imports SymPy (seconds).
    layer = nn.Linear(into, out, device="meta")
    bound = scale / math.sqrt(into)
    for name, parameter in list(layer.named_parameters()):
        draw = torch.rand(parameter.shape, generator=generator)
        setattr(layer, name, nn.Parameter((2 * draw - 1) * bound))
    return layer

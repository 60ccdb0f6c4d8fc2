"""A linear layer whose start comes from an explicit generator."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import skip_init


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
    layer: nn.Linear = skip_init(nn.Linear, into, out)  # type: ignore[no-untyped-call]
    bound = scale / math.sqrt(into)
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            draw = torch.rand(parameter.shape, generator=generator)
            parameter.copy_((2 * draw - 1) * bound)
    return layer

"""Penalties on weights, each a plain function of the weights (Walker et al. 2019, methods)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_LAPLACE = ((0.0, -1.0, 0.0), (-1.0, 4.0, -1.0), (0.0, -1.0, 0.0))


def gaussian_laplace_weight(side: int, sigma: float, bias: float) -> Tensor:
    """Weight of the smoothness penalty: weak in the middle of a kernel, strong at its border.

    ``1 - exp(-d²/2σ²) + bias`` with d the distance from the centre on a grid over [-1, 1]².

    Parameters
    ----------
    side
        Side of the kernel, px.
    sigma
        Width of the dip, in half-sides of the kernel.
    bias
        Added everywhere.

    Returns
    -------
    Tensor
        (side, side) float32.

    Examples
    --------
    >>> gaussian_laplace_weight(3, 0.5, 0.5)[1]
    tensor([1.3647, 0.5000, 1.3647])
    """
    axis = torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1)
    squared = axis[:, None].square() + axis.square()
    return 1 - torch.exp(-squared / (2 * sigma**2)) + bias


def laplace_penalty(weight: Tensor, pixel_weight: Tensor) -> Tensor:
    """Half the mean square of the Laplacian of every kernel, weighted pixel by pixel.

    Parameters
    ----------
    weight
        (out, in, k, k) kernels; beyond their border they count as zero.
    pixel_weight
        (k, k).

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    >>> laplace_penalty(torch.ones(1, 1, 1, 1), torch.ones(1, 1)).item()
    8.0
    """
    side = weight.shape[-1]
    kernel = weight.new_tensor(_LAPLACE)[None, None]
    edges = functional.conv2d(weight.reshape(-1, 1, side, side), kernel, padding=1)
    return (edges.square() * pixel_weight).mean() / 2


def group_sparsity(weights: list[Tensor]) -> Tensor:
    """L2 norm of every spatial kernel, mean over output × input channels, mean over the layers.

    Parameters
    ----------
    weights
        One (out, in, k, k) a layer; none gives 0.

    Returns
    -------
    Tensor
        Scalar. A kernel that is exactly zero has gradient zero.

    Examples
    --------
    >>> group_sparsity([torch.full((2, 1, 2, 2), 3.0)]).item()
    6.0
    """
    if not weights:
        return torch.zeros(())
    return torch.stack([w.flatten(2).norm(dim=2).mean() for w in weights]).sum() / len(weights)


def xavier_normal(shape: tuple[int, int, int, int], generator: torch.Generator) -> Tensor:
    """Draw kernels N(0, 2 / (fan in + fan out)).

    Parameters
    ----------
    shape
        (out, in, k, k).
    generator
        Source of the draw.
    """
    out, into, height, width = shape
    std = math.sqrt(2 / ((out + into) * height * width))
    return torch.randn(shape, generator=generator) * std

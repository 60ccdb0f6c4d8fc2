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
    return 1 - torch.exp(-_squared_distance(side) / (2 * sigma**2)) + bias


def sigmoid_laplace_weight(side: int, scale: float, center: float) -> Tensor:
    """Weight of the smoothness penalty that rises with the distance d from a kernel's centre.

    ``σ(scale · (d - center))`` with d on a grid over [-1, 1]².

    Parameters
    ----------
    side
        Side of the kernel, px.
    scale
        Steepness, per half-side of the kernel.
    center
        Distance at which the weight is a half, in half-sides of the kernel.

    Returns
    -------
    Tensor
        (side, side) float32.

    Examples
    --------
    >>> sigmoid_laplace_weight(3, 2, 1)[1]
    tensor([0.5000, 0.1192, 0.5000])
    """
    return torch.sigmoid(scale * (_squared_distance(side).sqrt() - center))


def _squared_distance(side: int) -> Tensor:
    axis = torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1)
    return axis[:, None].square() + axis.square()


def laplace_penalty(weight: Tensor, pixel_weight: Tensor, padding: int = 1) -> Tensor:
    """Half the mean square of the Laplacian of every kernel, weighted pixel by pixel.

    Parameters
    ----------
    weight
        (out, in, k, k) kernels.
    pixel_weight
        (k, k).
    padding
        1: of all k² pixels, the kernels being zero beyond their border. 0: of the (k - 2)² inner pixels,
        whose neighbours are all in the kernel; then k is at least 3.

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    >>> laplace_penalty(torch.ones(1, 1, 1, 1), torch.ones(1, 1)).item()
    8.0
    >>> laplace_penalty(torch.ones(1, 1, 3, 3), torch.ones(3, 3), padding=0).item()
    0.0
    """
    return _squared_laplacian(weight, pixel_weight, padding).mean() / 2


def relative_laplace_penalty(weight: Tensor, pixel_weight: Tensor) -> Tensor:
    """Sum of squares of the Laplacian of all kernels over that of the kernels: their size does not matter.

    The field's "LaplaceL2norm"; beyond their border kernels count as zero.

    Parameters
    ----------
    weight
        (out, in, k, k) kernels, not all zero.
    pixel_weight
        (k, k).

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    >>> relative_laplace_penalty(torch.full((1, 1, 1, 1), 7.0), torch.ones(1, 1)).item()
    16.0
    """
    return _squared_laplacian(weight, pixel_weight, 1).sum() / weight.square().sum()


def _squared_laplacian(weight: Tensor, pixel_weight: Tensor, padding: int) -> Tensor:
    side = weight.shape[-1]
    kernel = weight.new_tensor(_LAPLACE)[None, None]
    edges = functional.conv2d(weight.reshape(-1, 1, side, side), kernel, padding=padding)
    lost = 1 - padding
    return edges.square() * pixel_weight[lost : side - lost, lost : side - lost]


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

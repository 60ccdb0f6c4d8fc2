"""Bilinear samples of a map, weighed and summed, without ever holding the samples.

A unit's output is ``sum_k b_k (T[p_k] · w)`` over the four map pixels p_k around its position, with the
bilinear weights b_k, the map's feature vectors T and the unit's weights w. Samples of all units and images
(batch × units × features) would be far larger than the map; here each of the three passes, forward and
two backward, is one sparse product whose pattern holds four entries a unit and image:

- forward: the products ``T[p_k] · w`` of the pattern only (a sampled dense–dense product);
- gradient of the weights: a weighted sum of map rows a unit;
- gradient of the map: a weighted sum of unit weights a map pixel.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

with warnings.catch_warnings():  # torch says once a process that CSR is in beta; its products are tested here
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(
        torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([]), (1, 1)
    )


class Taps(NamedTuple):
    """The four map pixels around each position.

    Attributes
    ----------
    rows : (U, B, 4) int64
        Rows of the map of all images, (B·H·W).
    right, down : (U, B)
        Share of the right and of the lower pixels, 0..1.
    """

    rows: Tensor
    right: Tensor
    down: Tensor

    @property
    def share(self) -> Tensor:
        """(U, B, 4) bilinear weights."""
        left, up = 1 - self.right, 1 - self.down
        return torch.stack((left * up, self.right * up, left * self.down, self.right * self.down), -1)


def find_taps(x: Tensor, y: Tensor, height: int, width: int) -> Taps:
    """Find the four pixels around positions inside a map.

    Parameters
    ----------
    x, y
        (B, U) position in px of the map, 0..width-1 and 0..height-1.
    height, width
        Size of the map, at least 2 × 2.
    """
    left, top = (at.detach().floor().clamp_(max=side - 2) for at, side in ((x, width), (y, height)))
    image = torch.arange(len(x), device=x.device)[:, None] * (height * width)
    corner = (image + (top * width + left).long()).T
    index = torch.stack((corner, corner + 1, corner + width, corner + width + 1), -1)
    return Taps(index, (x.detach() - left).T, (y.detach() - top).T)


def products(table: Tensor, weights: Tensor, index: Tensor) -> Tensor:
    """Scalar products of map rows and unit weights, at a pattern of four rows an image and unit.

    Parameters
    ----------
    table
        (R, D) map rows.
    weights
        (U, D).
    index
        (U, B, 4) rows of the table, rising along the last two axes.

    Returns
    -------
    Tensor
        (U, B, 4).
    """
    per_unit = index[0].numel()
    start = torch.arange(len(index) + 1, device=index.device) * per_unit
    empty = torch.zeros(index.numel(), dtype=table.dtype, device=table.device)
    pattern = torch.sparse_csr_tensor(start, index.reshape(-1), empty, (len(weights), len(table)))
    out: Tensor = torch.sparse.sampled_addmm(pattern, weights, table.T, beta=0.0)
    return out.values().view(index.shape)


def weight_gradient(table: Tensor, index: Tensor, factor: Tensor) -> Tensor:
    """(U, D): for each unit the sum of its map rows ``index`` (U, B, 4), each times ``factor``."""
    return functional.embedding_bag(index.flatten(1), table, per_sample_weights=factor.flatten(1), mode="sum")


class Bags(NamedTuple):
    """The units that read each map pixel: pixel p is read by ``unit[start[p]:start[p + 1]]``."""

    unit: Tensor
    start: Tensor
    factor: Tensor


def find_bags(index: Tensor, factor: Tensor, rows: int) -> Bags:
    """Turn taps ``index`` (U, B, 4) with their ``factor`` around: from units' pixels to pixels' units."""
    flat = index.reshape(-1)
    order = torch.argsort(flat, stable=True)
    start = torch.zeros(rows, dtype=torch.int64, device=flat.device)
    torch.cumsum(torch.bincount(flat, minlength=rows)[:-1], 0, out=start[1:])
    unit = order.div(index[0].numel(), rounding_mode="floor")
    return Bags(unit, start, factor.reshape(-1)[order])


def table_gradient(weights: Tensor, bags: Bags) -> Tensor:
    """(R, C): for each map pixel the sum of the weights (U, C) of the units that read it, times factors."""
    return functional.embedding_bag(
        bags.unit, weights, bags.start, per_sample_weights=bags.factor, mode="sum"
    )


class _SampledDot(torch.autograd.Function):
    """`sampled_dot` with its own backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, weights: Tensor, *maps: Tensor) -> Tensor:
        _, height, width, features = maps[0].shape
        tables = [m.reshape(-1, features) for m in maps]
        taps = find_taps(x, y, height, width)
        product = products(tables[0], weights[0], taps.rows)
        for table, weight in zip(tables[1:], weights[1:], strict=True):
            product += products(table, weight, taps.rows)
        ctx.shape = maps[0].shape
        ctx.save_for_backward(weights, product, *taps, *tables)
        return (product * taps.share).sum(-1).T.contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weights, product, index, right, down, *tables = ctx.saved_tensors
        factor = Taps(index, right, down).share * grad.T[..., None]
        to_maps: list[Tensor] | list[None] = [None] * len(tables)
        to_x = to_y = to_weights = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            p00, p01, p10, p11 = product.unbind(-1)
            to_x = grad * torch.lerp(p01 - p00, p11 - p10, down).T
            to_y = grad * torch.lerp(p10 - p00, p11 - p01, right).T
        if ctx.needs_input_grad[2]:
            to_weights = torch.stack([weight_gradient(table, index, factor) for table in tables])
        if any(ctx.needs_input_grad[3:]):
            bags = find_bags(index, factor, len(tables[0]))
            to_maps = [table_gradient(weight, bags).view(ctx.shape) for weight in weights]
        return to_x, to_y, to_weights, *to_maps


def sampled_dot(maps: Sequence[Tensor], weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear samples of maps at each unit's position, weighed by the unit's weights and summed.

    Parameters
    ----------
    maps
        L maps of one size, each (B, H, W, C), features last.
    weights
        (L, U, C).
    x, y
        (B, U) positions in px of the maps; beyond the border the border counts (and the position's
        gradient is zero).

    Returns
    -------
    Tensor
        (B, U).

    Examples
    --------
    >>> ramp = torch.arange(5.0).expand(1, 4, 5)[..., None]
    >>> sampled_dot([ramp], torch.tensor([[[2.0]]]), torch.tensor([[1.25]]), torch.tensor([[0.5]]))
    tensor([[2.5000]])
    """
    height, width = maps[0].shape[1:3]
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    for axis in (1, 2):
        if maps[0].shape[axis] == 1:  # the pattern needs two different pixels along each axis
            maps = [torch.cat((m, m), axis) for m in maps]
    return cast(Tensor, _SampledDot.apply(x, y, weights, *maps))

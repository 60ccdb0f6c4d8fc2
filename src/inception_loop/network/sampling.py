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
from torch.nn import functional

from inception_loop.network.bounds import kept_within
from inception_loop.network.stacks import fold, unfold

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


def find_taps(x: Tensor, y: Tensor, height: int, width: int, *, networks: int = 1) -> Taps:
    """Find the four pixels around positions inside a map.

    Parameters
    ----------
    x, y
        (B, U) position in px of the map, 0..width-1 and 0..height-1.
    height, width
        Size of the map, at least 2 × 2.
    networks
        The units are those of so many networks, one after the other, and so are the maps.
    """
    left, top = (at.detach().floor().clamp_(max=side - 2) for at, side in ((x, width), (y, height)))
    image = torch.arange(networks * len(x), device=x.device).view(networks, -1).T * (height * width)
    image = image.repeat_interleave(x.shape[1] // networks, 1)
    corner = (image + (top * width + left).long()).T
    index = torch.stack((corner, corner + 1, corner + width, corner + width + 1), -1)
    return Taps(index, (x.detach() - left).T, (y.detach() - top).T)


def products(table: Tensor, weights: Tensor, index: Tensor) -> Tensor:
    """Scalar products of map rows and unit weights, at a pattern of four rows an image and unit.

    On a GPU by `gathered_products`, elsewhere by `sparse_products`.

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
    return (gathered_products if table.is_cuda else sparse_products)(table, weights, index)


def gathered_products(table: Tensor, weights: Tensor, index: Tensor) -> Tensor:
    """Do what `products` does by dense operations, one of the four rows at a time: (U, B, D) are held."""
    units, images, _ = index.shape
    rows = (table.index_select(0, tap.flatten()).view(units, images, -1) for tap in index.unbind(-1))
    return torch.cat([row @ weights[:, :, None] for row in rows], -1)


def sparse_products(table: Tensor, weights: Tensor, index: Tensor) -> Tensor:
    """Do what `products` does by a sparse product that holds nothing but its result."""
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
    short = torch.int16 if rows <= torch.iinfo(torch.int16).max else torch.int32  # sorted in half the time
    order = torch.argsort(flat.to(short), stable=True)
    start = torch.zeros(rows, dtype=torch.int64, device=flat.device)
    torch.cumsum(torch.bincount(flat, minlength=rows)[:-1], 0, out=start[1:])
    unit = torch.arange(len(index), device=flat.device).repeat_interleave(index[0].numel())
    return Bags(unit.index_select(0, order), start, factor.reshape(-1).index_select(0, order))


def table_gradient(weights: Tensor, bags: Bags) -> Tensor:
    """(R, C): for each map pixel the sum of the weights (U, C) of the units that read it, times factors."""
    return functional.embedding_bag(
        bags.unit, weights, bags.start, per_sample_weights=bags.factor, mode="sum"
    )


class _SampledDot(torch.autograd.Function):
    """`sampled_dot` with its own backward pass; ``vmap`` makes one call of a stack of networks.

    Units and maps may be those of M networks, one network after the other: then a unit sees the maps of its
    network only. How many they are is known from the maps: M·B of them for B positions a unit.
    """

    @staticmethod
    def forward(x: Tensor, y: Tensor, weights: Tensor, *maps: Tensor) -> tuple[Tensor, Tensor]:
        """(B, U) weighed sums, and the products that the backward pass uses again."""
        tables, taps = _tables_and_taps(x, y, maps)
        product = products(tables[0], weights[0], taps.rows)
        for table, weight in zip(tables[1:], weights[1:], strict=True):
            product += products(table, weight, taps.rows)
        return (product * taps.share).sum(-1).T.contiguous(), product

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        x, y, weights, *maps = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, y, weights, output[1], *maps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad
        if grad is None:
            return (None,) * len(needed)
        wanted = (needed[0] or needed[1], needed[2], any(needed[3:]))
        to_x, to_y, to_weights, *to_maps = _SampledDotGradient.apply(wanted, grad, *ctx.saved_tensors)
        return (
            to_x if wanted[0] else None,
            to_y if wanted[0] else None,
            to_weights if wanted[1] else None,
            *(to_maps if wanted[2] else [None] * len(needed[3:])),
        )

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, y: Tensor, weights: Tensor, *maps: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        count = info.batch_size
        x, y, weights = (fold(v, dim, count, 1) for v, dim in zip((x, y, weights), in_dims[:3], strict=True))
        if any(dim is not None for dim in in_dims[3:]):  # otherwise all networks see the same maps
            maps = tuple(fold(m, dim, count, 0) for m, dim in zip(maps, in_dims[3:], strict=True))
        out, product = _SampledDot.apply(x, y, weights, *maps)
        return (unfold(out, count, 1), unfold(product, count, 0)), (1, 0)


class _SampledDotGradient(torch.autograd.Function):
    """The backward pass of `_SampledDot`, apart because ``vmap`` needs a rule for it as well.

    What nobody wants (places, weights, maps) is not made: an empty tensor stands for it.
    """

    @staticmethod
    def forward(
        wanted: tuple[bool, bool, bool],
        grad: Tensor,
        x: Tensor,
        y: Tensor,
        weights: Tensor,
        product: Tensor,
        *maps: Tensor,
    ) -> tuple[Tensor, ...]:
        tables, (index, right, down) = _tables_and_taps(x, y, maps)
        factor = Taps(index, right, down).share * grad.T[..., None]
        none = grad.new_empty(0)
        to_x = to_y = to_weights = none
        to_maps = [none] * len(maps)
        if wanted[0]:
            p00, p01, p10, p11 = product.unbind(-1)
            to_x = grad * torch.lerp(p01 - p00, p11 - p10, down).T
            to_y = grad * torch.lerp(p10 - p00, p11 - p01, right).T
        if wanted[1]:
            to_weights = torch.stack([weight_gradient(table, index, factor) for table in tables])
        if wanted[2]:
            bags = find_bags(index, factor, len(tables[0]))
            to_maps = [table_gradient(weight, bags).view(maps[0].shape) for weight in weights]
        return to_x, to_y, to_weights, *to_maps

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep nothing: there is no second derivative."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], wanted: tuple[bool, bool, bool], *values: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
        count = info.batch_size
        axes = (1, 1, 1, 1, 0, *[0] * (len(values) - 5))
        folded = [fold(v, dim, count, axis) for v, dim, axis in zip(values, in_dims[1:], axes, strict=True)]
        made = (wanted[0], wanted[0], wanted[1], *[wanted[2]] * (len(values) - 5))
        dims = [axis if m else None for axis, m in zip((1, 1, 1, *axes[5:]), made, strict=True)]
        out = _SampledDotGradient.apply(wanted, *folded)
        return tuple(
            v if dim is None else unfold(v, count, dim) for v, dim in zip(out, dims, strict=True)
        ), tuple(dims)


def _tables_and_taps(x: Tensor, y: Tensor, maps: Sequence[Tensor]) -> tuple[list[Tensor], Taps]:
    """Make tables (M·B·H·W, C) of maps (M·B, H, W, C), and find where positions (B, M·U) look in them."""
    images, height, width, features = maps[0].shape
    taps = find_taps(x, y, height, width, networks=images // len(x))
    return [m.reshape(-1, features) for m in maps], taps


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
    x, y = kept_within(x, 0, width - 1), kept_within(y, 0, height - 1)
    for axis in (1, 2):
        if maps[0].shape[axis] == 1:  # the pattern needs two different pixels along each axis
            maps = [torch.cat((m, m), axis) for m in maps]
    return cast(Tensor, _SampledDot.apply(x, y, weights, *maps)[0])

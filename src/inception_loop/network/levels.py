"""Levels of a map: linear, separable copies of it, coarser and coarser, all sampled at a unit's place.

A level is a matrix times the map times a matrix, or a sum of few such terms. So a sample of any level is
``rowᵀ · map · column`` with vectors that only the position decides: that is how few units are read out
without making the levels at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.network.bounds import kept_within


class Separable(NamedTuple):
    """What positions see of a map: ``rows`` (…, K, H) and ``columns`` (…, K, W), K terms."""

    rows: Tensor
    columns: Tensor


class Levels(nn.Module, ABC):
    """Levels of maps of one size.

    Parameters
    ----------
    sizes
        (height, width) of each level.
    rows, columns
        K matrices (side of the term, side of the map) that make the terms along the two axes.
    mixing
        (levels, K): how the terms add up to the levels.
    sides
        (height, width) of each term.
    """

    row_terms: Tensor
    column_terms: Tensor
    mixing: Tensor
    last_pixel: Tensor

    def __init__(
        self,
        sizes: list[tuple[int, int]],
        rows: list[Tensor],
        columns: list[Tensor],
        mixing: Tensor,
        sides: list[tuple[int, int]],
    ) -> None:
        super().__init__()
        self.sizes = sizes
        self.constant("row_terms", _stack(rows))
        self.constant("column_terms", _stack(columns))
        self.constant("mixing", mixing)
        self.constant("last_pixel", torch.tensor(sides, dtype=torch.float32) - 1)

    def constant(self, name: str, value: Tensor) -> None:
        """Keep what the configuration decides: it moves with the module and is not saved."""
        self.register_buffer(name, value, persistent=False)

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.sizes)

    @abstractmethod
    def split(self, x: Tensor) -> list[Tensor]:
        """Make the levels of (B, C, H, W), finest first, each (B, C, h, w)."""

    def maps(self, x: Tensor) -> list[list[Tensor]]:
        """Make the maps to sample from (B, C, H, W): groups of one size, each map (B, h, w, C)."""
        return [[features_last(level)] for level in self.split(to_channels_last(x))]

    def weights(self, features: Tensor) -> list[Tensor]:
        """Turn weights of levels (U, levels, C) into weights of `maps`: (maps, U, C) a group."""
        return list(torch.split(features.transpose(0, 1), 1))

    def separable(self, position: Tensor) -> Separable:
        """Find what positions (…, 2) in [-1, 1] (x, y) see; beyond the border the border counts."""
        at = (position.flip(-1)[..., None, :] + 1) / 2 * self.last_pixel
        at = kept_within(at, torch.zeros_like(self.last_pixel), self.last_pixel)
        rows, columns = (
            _interpolate(matrices, at[..., axis], self.last_pixel[:, axis])
            for axis, matrices in enumerate((self.row_terms, self.column_terms))
        )
        return Separable(rows, columns)

    def separable_weights(self, features: Tensor) -> Tensor:
        """Turn weights of levels (…, levels, C) into weights of the separable terms (…, K, C)."""
        return self.mixing.T @ features


class _ChannelsLast(torch.autograd.Function):
    """The same values with channels innermost in memory; the gradient comes back as the values came.

    Without the second half the whole core would go backward on transposed memory, twice as slowly.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Keep the layout only: nothing depends on the values."""
        came_so = inputs[0].is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if came_so else torch.contiguous_format

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.contiguous(memory_format=ctx.layout)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], x: Tensor) -> tuple[Tensor, int]:
        """Take the images of all networks as one batch."""
        x = x.movedim(in_dims[0], 0)
        return to_channels_last(x.flatten(0, 1)).view(x.shape), 0


def to_channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) with channels innermost in memory, where samples of all channels are read together."""
    return cast(Tensor, _ChannelsLast.apply(x))


def features_last(x: Tensor) -> Tensor:
    """(B, C, H, W) seen as (B, H, W, C)."""
    return x.permute(0, 2, 3, 1)


def _stack(matrices: list[Tensor]) -> Tensor:
    """(K, longest side, side), shorter matrices filled with zeros below."""
    longest = max(len(matrix) for matrix in matrices)
    return torch.stack([functional.pad(matrix, (0, 0, 0, longest - len(matrix))) for matrix in matrices])


def _interpolate(matrices: Tensor, at: Tensor, last: Tensor) -> Tensor:
    """Rows of (K, h, H) matrices at fractional positions (…, K), up to ``last`` (K,) → (…, K, H)."""
    term = torch.arange(len(matrices), device=at.device)
    low = torch.minimum(at.detach().floor(), (last - 1).clamp(min=0))
    high = torch.minimum(low + 1, last)
    share = (at - low)[..., None]
    return matrices[term, low.long()] * (1 - share) + matrices[term, high.long()] * share

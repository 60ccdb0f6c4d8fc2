"""The Gaussian/Laplacian pyramid of a map, whole or only where a few positions look at it.

One split blurs a map with a separable 5×5 Gaussian (zeros beyond the border) and keeps the difference to
the blurred copy as a level; the last level is what remains blurred. With ``downsample`` the blurred copy
is halved first and blown up again for the difference. All of it is linear and separable, so a sample of
any level is ``rowᵀ · map · column`` with vectors that only the position decides: that is how few units are
read out without making the pyramid.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional


def gauss5() -> Tensor:
    """Five taps of a Gaussian of σ = 1 px, integrated over each pixel, sum 1 ("gauss5x5" by rows).

    Examples
    --------
    >>> gauss5()
    tensor([0.0614, 0.2448, 0.3877, 0.2448, 0.0614])
    """
    edge = [math.erf((i - 2.5) / math.sqrt(2)) for i in range(6)]
    taps = torch.tensor([high - low for low, high in pairwise(edge)], dtype=torch.float64)
    return (taps / taps.sum()).float()


class Separable(NamedTuple):
    """What positions see of a map: ``rows`` (…, K, H) and ``columns`` (…, K, W), K terms."""

    rows: Tensor
    columns: Tensor


class Pyramid(nn.Module):
    """The pyramid "gauss5x5" of maps of one size.

    Parameters
    ----------
    size
        (height, width) of the map.
    scale_n
        Number of splits; there are ``scale_n + 1`` levels.
    downsample
        Halve the blurred map at every split (upper left pixel of four kept), or keep its size.

    Examples
    --------
    >>> Pyramid((22, 50), 5, downsample=True).sizes
    [(22, 50), (11, 25), (6, 13), (3, 7), (2, 4), (1, 2)]
    """

    taps: Tensor
    row_terms: Tensor
    column_terms: Tensor
    mixing: Tensor
    last_pixel: Tensor

    def __init__(self, size: tuple[int, int], scale_n: int, *, downsample: bool) -> None:
        super().__init__()
        self.scale_n = scale_n
        self.downsample = downsample
        self.sizes = [
            ((size[0] - 1 >> level) + 1, (size[1] - 1 >> level) + 1) if downsample else size
            for level in range(scale_n + 1)
        ]
        rows, columns = (axis_terms(size[axis], scale_n, downsample=downsample) for axis in (0, 1))
        sides = [self.sizes[term.level] for term in terms(scale_n, downsample=downsample)]
        self._constant("taps", torch.outer(gauss5(), gauss5()))
        self._constant("row_terms", _stack(rows))
        self._constant("column_terms", _stack(columns))
        self._constant("mixing", mixing(scale_n, downsample=downsample))
        self._constant("last_pixel", torch.tensor(sides, dtype=torch.float32) - 1)

    def _constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    @property
    def levels(self) -> int:
        """Number of levels."""
        return self.scale_n + 1

    def maps(self, x: Tensor) -> list[list[Tensor]]:
        """Make the maps to sample from (B, C, H, W): groups of one size, each map (B, h, w, C).

        Without downsampling that is one group of all blurred copies (`weights` turns weights of levels into
        theirs), with it each level is a group of its own.
        """
        x = _to_channels_last(x)
        if self.downsample:
            return [[_features_last(level)] for level in self.split(x)]
        copies = [x]
        for _ in range(self.scale_n):
            copies.append(self.blur(copies[-1]))
        return [[_features_last(copy) for copy in copies]]

    def weights(self, features: Tensor) -> list[Tensor]:
        """Turn weights of levels (U, levels, C) into weights of `maps`: (maps, U, C) a group."""
        by_level = features.transpose(0, 1)
        if self.downsample:
            return list(torch.split(by_level, 1))
        return [torch.diff(by_level, dim=0, prepend=torch.zeros_like(by_level[:1]))]

    def split(self, x: Tensor) -> list[Tensor]:
        """Levels of (B, C, H, W), finest first: ``scale_n`` differences and the rest, each (B, C, h, w)."""
        levels = []
        for _ in range(self.scale_n):
            low = self.blur(x, stride=2 if self.downsample else 1)
            levels.append(x - (self._blow_up(low, x.shape[2:]) if self.downsample else low))
            x = low
        return [*levels, x]

    def blur(self, x: Tensor, stride: int = 1) -> Tensor:
        """Blur every channel of (B, C, H, W) with the 5×5 Gaussian, zeros beyond the border."""
        channels = x.shape[1]
        return functional.conv2d(x, self._kernel(channels), stride=stride, padding=2, groups=channels)

    def _blow_up(self, low: Tensor, size: torch.Size) -> Tensor:
        channels = low.shape[1]
        extra = [(side + 1) % 2 for side in size]
        return functional.conv_transpose2d(
            low, 4 * self._kernel(channels), stride=2, padding=2, output_padding=extra, groups=channels
        )

    def _kernel(self, channels: int) -> Tensor:
        return self.taps.expand(channels, 1, 5, 5).contiguous()

    def separable(self, position: Tensor) -> Separable:
        """Find what positions (…, 2) in [-1, 1] (x, y) see; beyond the border the border counts."""
        at = (position.flip(-1)[..., None, :] + 1) / 2 * self.last_pixel
        at = torch.minimum(at.clamp(min=0), self.last_pixel)
        return Separable(
            _interpolate(self.row_terms, at[..., 0]), _interpolate(self.column_terms, at[..., 1])
        )

    def separable_weights(self, features: Tensor) -> Tensor:
        """Turn weights of levels (…, levels, C) into weights of the separable terms (…, K, C)."""
        return self.mixing.T @ features


class Term(NamedTuple):
    """One separable part of a level: it is sampled at the resolution of ``level``."""

    level: int
    copy: int
    sign: int


def terms(scale_n: int, *, downsample: bool) -> list[Term]:
    """Write the levels as sums of separable terms.

    A term is the ``copy``-th blurred copy of the map, seen at the resolution of ``level`` (blown up from the
    next level's resolution where ``copy`` is ``level + 1`` and maps are halved).
    """
    if not downsample:
        return [Term(0, copy, 1) for copy in range(scale_n + 1)]
    out = []
    for level in range(scale_n):
        out += [Term(level, level, 1), Term(level, level + 1, -1)]
    return [*out, Term(scale_n, scale_n, 1)]


def mixing(scale_n: int, *, downsample: bool) -> Tensor:
    """(levels, K): how the terms add up to the levels."""
    parts = terms(scale_n, downsample=downsample)
    matrix = torch.zeros(scale_n + 1, len(parts))
    for k, term in enumerate(parts):
        if downsample:
            matrix[term.level, k] = term.sign
            continue
        matrix[term.copy, k] = 1
        if term.copy > 0:
            matrix[term.copy - 1, k] = -1
    return matrix


def axis_terms(side: int, scale_n: int, *, downsample: bool) -> list[Tensor]:
    """Matrices (side of the level, side) that make each term along one axis of a map."""
    copies = [torch.eye(side, dtype=torch.float64)]
    blow_ups = []
    for _ in range(scale_n):
        here = len(copies[-1])
        blur = _band(here)
        step = blur[::2] if downsample else blur
        blow_ups.append(2 * step.T if downsample else torch.eye(here, dtype=torch.float64))
        copies.append(step @ copies[-1])
    out = []
    for term in terms(scale_n, downsample=downsample):
        blown = downsample and term.copy > term.level
        out.append((blow_ups[term.level] @ copies[term.copy] if blown else copies[term.copy]).float())
    return out


class _ChannelsLast(torch.autograd.Function):
    """The same values with channels innermost in memory; the gradient comes back with channels outermost.

    Without the second half the whole core would go backward on transposed memory, twice as slowly.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Keep nothing: nothing of it depends on the values."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.contiguous()

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], x: Tensor) -> tuple[Tensor, int]:
        """Take the images of all networks as one batch."""
        x = x.movedim(in_dims[0], 0)
        return _to_channels_last(x.flatten(0, 1)).view(x.shape), 0


def _to_channels_last(x: Tensor) -> Tensor:
    return cast(Tensor, _ChannelsLast.apply(x))


def _features_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _band(side: int) -> Tensor:
    """(side, side) matrix of the blur along one axis."""
    taps = gauss5().double()
    matrix = torch.zeros(side, side, dtype=torch.float64)
    for offset in range(-2, 3):
        if abs(offset) < side:
            matrix += torch.diag(taps[offset + 2].expand(side - abs(offset)), offset)
    return matrix


def _stack(matrices: list[Tensor]) -> Tensor:
    """(K, longest side, side), shorter matrices filled with zeros below."""
    longest = max(len(matrix) for matrix in matrices)
    return torch.stack([functional.pad(matrix, (0, 0, 0, longest - len(matrix))) for matrix in matrices])


def _interpolate(matrices: Tensor, at: Tensor) -> Tensor:
    """Rows of (K, h, H) matrices at fractional positions (…, K) → (…, K, H)."""
    term = torch.arange(len(matrices), device=at.device)
    low = at.detach().floor()
    high = torch.minimum(low + 1, torch.full_like(low, matrices.shape[1] - 1))
    share = (at - low)[..., None]
    return matrices[term, low.long()] * (1 - share) + matrices[term, high.long()] * share

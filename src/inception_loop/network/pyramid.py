"""The Gaussian/Laplacian pyramid of a map, whole or only where a few positions look at it.

One split blurs a map with a separable 5×5 Gaussian (zeros beyond the border) and keeps the difference to
the blurred copy as a level; the last level is what remains blurred. With ``downsample`` the blurred copy
is halved first and, unless ``upsample`` is off, blown up again for the difference. All of it is linear and
separable, as `levels` wants it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from inception_loop.network.levels import Levels, features_last, to_channels_last


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


class Pyramid(Levels):
    """The pyramid "gauss5x5" of maps of one size.

    Parameters
    ----------
    size
        (height, width) of the map.
    scale_n
        Number of splits; there are ``scale_n + 1`` levels.
    downsample
        Halve the blurred map at every split (upper left pixel of four kept), or keep its size.
    upsample
        Where maps are halved: take the difference to the halved copy blown up again, or to the blurred one.

    Examples
    --------
    >>> Pyramid((22, 50), 5, downsample=True).sizes
    [(22, 50), (11, 25), (6, 13), (3, 7), (2, 4), (1, 2)]
    """

    taps: Tensor

    def __init__(
        self, size: tuple[int, int], scale_n: int, *, downsample: bool, upsample: bool = True
    ) -> None:
        self.scale_n = scale_n
        self.downsample = downsample
        self.upsample = upsample
        sizes = [
            ((size[0] - 1 >> level) + 1, (size[1] - 1 >> level) + 1) if downsample else size
            for level in range(scale_n + 1)
        ]
        rows, columns = (axis_terms(side, scale_n, downsample=downsample, upsample=upsample) for side in size)
        sides = [sizes[term.level] for term in terms(scale_n, downsample=downsample)]
        super().__init__(sizes, rows, columns, mixing(scale_n, downsample=downsample), sides)
        self.constant("taps", torch.outer(gauss5(), gauss5()))

    def maps(self, x: Tensor) -> list[list[Tensor]]:
        """Make the maps to sample from (B, C, H, W); see `Levels`.

        Without downsampling they are one group of all blurred copies, and `weights` turns weights of levels
        into theirs.
        """
        if self.downsample:
            return super().maps(x)
        copies = [to_channels_last(x)]
        for _ in range(self.scale_n):
            copies.append(self.blur(copies[-1]))
        return [[features_last(copy) for copy in copies]]

    def weights(self, features: Tensor) -> list[Tensor]:
        """Turn weights of levels (U, levels, C) into weights of `maps`: (maps, U, C) a group."""
        if self.downsample:
            return super().weights(features)
        by_level = features.transpose(0, 1)
        return [torch.diff(by_level, dim=0, prepend=torch.zeros_like(by_level[:1]))]

    def split(self, x: Tensor) -> list[Tensor]:
        """Levels of (B, C, H, W), finest first: ``scale_n`` differences and the rest, each (B, C, h, w)."""
        levels = []
        for _ in range(self.scale_n):
            if not self.downsample:
                low = smooth = self.blur(x)
            elif self.upsample:
                low = self.blur(x, stride=2)
                smooth = self._blow_up(low, x.shape[2:])
            else:
                smooth = self.blur(x)
                low = smooth[:, :, ::2, ::2]
            levels.append(x - smooth)
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


class Term(NamedTuple):
    """One separable part of a level: it is sampled at the resolution of ``level``."""

    level: int
    copy: int
    sign: int


def terms(scale_n: int, *, downsample: bool) -> list[Term]:
    """Write the levels as sums of separable terms.

    A term is the ``copy``-th blurred copy of the map, seen at the resolution of ``level``: where maps are
    halved and ``copy`` is ``level + 1``, the smooth map that the level is the difference to.
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


def axis_terms(side: int, scale_n: int, *, downsample: bool, upsample: bool = True) -> list[Tensor]:
    """Matrices (side of the level, side) that make each term along one axis of a map."""
    copies = [torch.eye(side, dtype=torch.float64)]
    smooth = []
    for _ in range(scale_n):
        blur = _band(len(copies[-1]))
        step = blur[::2] if downsample else blur
        here = copies[-1]
        copies.append(step @ here)
        smooth.append(2 * step.T @ copies[-1] if downsample and upsample else blur @ here)
    out = []
    for term in terms(scale_n, downsample=downsample):
        blown = downsample and term.copy > term.level
        out.append((smooth[term.level] if blown else copies[term.copy]).float())
    return out


def _band(side: int) -> Tensor:
    """(side, side) matrix of the blur along one axis."""
    taps = gauss5().double()
    matrix = torch.zeros(side, side, dtype=torch.float64)
    for offset in range(-2, 3):
        if abs(offset) < side:
            matrix += torch.diag(taps[offset + 2].expand(side - abs(offset)), offset)
    return matrix

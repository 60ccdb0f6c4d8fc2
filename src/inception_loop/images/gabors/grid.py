"""The grid of Gabors that is searched: lists of each parameter, and their product one piece at a time."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from inception_loop.artifacts.identity import Config

PARAMETERS = ("phase", "wavelength", "orientation", "sigma", "center_x", "center_y")
"""Order of a Gabor's parameters in a tensor: rad, px, rad, px, px, px; meaning as in `pictures.gabor`."""

Positive = Annotated[float, Field(gt=0)]


class Bounds(NamedTuple):
    """Least and largest value of each of `PARAMETERS`, (6,) float64 each; infinite where it is an angle."""

    low: Tensor
    high: Tensor


class GaborGrid(Config):
    """Lists whose product is the bank of Gabors; the defaults are the 72,800 published ones.

    Examples
    --------
    >>> GaborGrid().size
    72800
    >>> coarse = GaborGrid(wavelengths=(4, 8), dx=(0,), dy=(0,))
    >>> coarse.size, coarse.parameters(torch.tensor([0, 5]), (36, 64))[:, -2:].tolist()
    (320, [[31.5, 17.5], [31.5, 17.5]])
    """

    phases: tuple[float, ...] = Field(
        tuple(k * math.pi / 2 for k in range(4)), min_length=1, description="Phases, rad; 0 is even."
    )
    wavelengths: tuple[Positive, ...] = Field(
        (4.0, 7.0, 10.0, 15.0, 20.0), min_length=1, description="Periods of the wave, px."
    )
    orientations: tuple[float, ...] = Field(
        tuple(k * math.pi / 8 for k in range(8)),
        min_length=1,
        description="Orientations, rad; 0 has vertical stripes.",
    )
    sigmas: tuple[Positive, ...] = Field(
        (2.0, 3.0, 5.0, 7.0, 9.0), min_length=1, description="S.d. of the envelope, px."
    )
    dy: tuple[float, ...] = Field(
        tuple(k / 10 for k in range(-3, 4)),
        min_length=1,
        description="Centres below the middle of the image, in its height.",
    )
    dx: tuple[float, ...] = Field(
        tuple(k / 20 for k in range(-6, 7)),
        min_length=1,
        description="Centres to the right of the middle of the image, in its width.",
    )

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of phases, wavelengths, orientations, sigmas, dy and dx: the order of the rows."""
        return tuple(map(len, self._lists()))

    @property
    def size(self) -> int:
        """Number of Gabors."""
        return math.prod(self.shape)

    def parameters(self, rows: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Return (B, 6) float64 `PARAMETERS` of (B,) rows of the bank, on their device."""
        picked = []
        for values in reversed(self._lists()):  # the last list is the fastest
            picked.append(torch.tensor(values, dtype=torch.float64, device=rows.device)[rows % len(values)])
            rows = rows // len(values)
        dx, dy, sigma, orientation, wavelength, phase = picked
        x, y = _places(dx, image_size[1]), _places(dy, image_size[0])
        return torch.stack((phase, wavelength, orientation, sigma, x, y), 1)

    def bounds(self, image_size: tuple[int, int]) -> Bounds:
        """Return the range of each parameter; phase and orientation go round and have none."""
        x, y = (
            _places(torch.tensor((min(d), max(d)), dtype=torch.float64), size)
            for d, size in zip((self.dx, self.dy), image_size[::-1], strict=True)
        )
        ends = [
            (-math.inf, math.inf),
            (min(self.wavelengths), max(self.wavelengths)),
            (-math.inf, math.inf),
            (min(self.sigmas), max(self.sigmas)),
            x.tolist(),
            y.tolist(),
        ]
        low, high = torch.tensor(ends, dtype=torch.float64).T
        return Bounds(low, high)

    def _lists(self) -> tuple[tuple[float, ...], ...]:
        return self.phases, self.wavelengths, self.orientations, self.sigmas, self.dy, self.dx


def _places(fraction: Tensor, size: int) -> Tensor:
    return (size - 1) / 2 + fraction * size

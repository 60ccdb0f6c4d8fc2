"""The readout of the closed loop: each unit looks at one point of a pyramid of the core's map."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from inception_loop.artifacts.identity import Config
from inception_loop.network.levels import Levels
from inception_loop.network.pyramid import Pyramid
from inception_loop.network.readouts.readout import PointReadout
from inception_loop.network.sampling import sampled_dot

FEW_UNITS = 4
"""Up to this many units an image, looking only where they look is cheaper than making the pyramid."""

CACHED_BYTES = 16 << 20


class PointOfLevels(Config):
    """Fields of the readouts from one place a unit in levels of the core's output."""

    gamma_features: float = Field(
        1.0, ge=0, description="Strength of the L1 norm (mean) of the feature weights."
    )
    init_range: float = Field(
        0.1, ge=0, le=1, description="Positions start uniform in ± this, units of the map."
    )

    @abstractmethod
    def levels(self, map_size: tuple[int, int]) -> Levels:
        """Make the levels of maps of (height, width)."""

    def build(
        self,
        units: int,
        channels: int,
        map_size: tuple[int, int],
        generator: torch.Generator,
        cortex: Tensor | None = None,
    ) -> PyramidReadout:
        """Make the readout of one scan; see `PyramidReadout`. Places in the cortex play no part."""
        return PyramidReadout(self, units, channels, map_size, generator)


class GaussianPyramid(PointOfLevels):
    """Fields of the readouts from a Gaussian/Laplacian pyramid."""

    scale_n: int = Field(5, ge=0, description="Splits of the pyramid; it has one level more than splits.")
    downsample: bool = Field(True, description="Halve the map at every split; otherwise only blur it again.")


class SpatialTransformerPyramid2d(GaussianPyramid):
    """Readout from one place a unit in a Gaussian/Laplacian pyramid of the core's output."""

    type: Literal["SpatialTransformerPyramid2d"] = "SpatialTransformerPyramid2d"

    def levels(self, map_size: tuple[int, int]) -> Pyramid:
        """Make the pyramid of maps of (height, width)."""
        return Pyramid(map_size, self.scale_n, downsample=self.downsample)


class PyramidReadout(PointReadout):
    """Each unit looks at one place of all levels of the map, a pyramid of one kind or another.

    Parameters
    ----------
    config
        Levels, regulariser, start of the positions.
    units
        Number of units N.
    channels
        Channels C of the core's map.
    map_size
        (height, width) of the core's map.
    generator
        Source of the initial positions. Feature weights start at 1/C, biases at 0.

    Attributes
    ----------
    position : (N, 2), x and y in [-1, 1] between the centres of the map's corner pixels
    features : (N, levels, C)
    bias : (N,)

    Examples
    --------
    >>> config = SpatialTransformerPyramid2d(scale_n=2)
    >>> readout = PyramidReadout(config, 7, 4, (22, 50), torch.Generator().manual_seed(1))
    >>> readout(torch.zeros(3, 4, 22, 50)).shape
    torch.Size([3, 7])
    """

    def __init__(
        self,
        config: PointOfLevels,
        units: int,
        channels: int,
        map_size: tuple[int, int],
        generator: torch.Generator,
    ) -> None:
        super().__init__(units, config.init_range, generator)
        self.config = config
        self.pyramid = config.levels(map_size)
        self.features = nn.Parameter(torch.full((units, self.pyramid.levels, channels), 1 / channels))

    def forward(
        self,
        x: Tensor,
        shift: Tensor | None = None,
        units: Tensor | None = None,
        *,
        paired: bool = False,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Read out all units, some of them, or one an image; see `ReadoutModule`."""
        features, bias = (v if units is None else v[units] for v in (self.features, self.bias))
        at = self.places(shift, units, paired=paired, images=len(x))
        if paired:
            return self._few(x, at, features[:, None])[:, 0] + bias
        if len(bias) <= FEW_UNITS:
            return self._few(x, at, features[None]) + bias
        return self._many(x, at, features) + bias

    def _few(self, x: Tensor, at: Tensor, features: Tensor) -> Tensor:
        """Look only along the rows and columns that the positions (B, U, 2) see."""
        images, channels, height, width = x.shape
        seen = self.pyramid.separable(at)
        units, parts = seen.rows.shape[1:3]
        columns = seen.columns.reshape(images, units * parts, width).transpose(1, 2)
        strips = (x.reshape(images, channels * height, width) @ columns).view(
            images, channels, height, units, parts
        )
        samples = (strips * seen.rows.permute(0, 3, 1, 2)[:, None]).sum(2)
        return (samples * self.pyramid.separable_weights(features).permute(0, 3, 1, 2)).sum((1, 3))

    def _many(self, x: Tensor, at: Tensor, features: Tensor) -> Tensor:
        """Make the pyramid of a few images at a time, so that it stays in the cache, and sample it."""
        weights = self.pyramid.weights(features)
        an_image = x[0].numel() * self.pyramid.levels * x.element_size()
        size = max(1, len(x) if x.is_cuda else CACHED_BYTES // an_image)
        parts = [
            self._sample(*part, weights)
            for part in zip(torch.split(x, size), torch.split(at, size), strict=True)
        ]
        return torch.cat(parts)

    def _sample(self, x: Tensor, at: Tensor, weights: list[Tensor]) -> Tensor:
        parts = []
        for maps, weight in zip(self.pyramid.maps(x), weights, strict=True):
            height, width = maps[0].shape[1:3]
            px = (at + 1) / 2 * at.new_tensor([width - 1, height - 1])
            parts.append(sampled_dot(maps, weight, px[..., 0], px[..., 1]))
        return torch.stack(parts).sum(0)

    def regularizer(self) -> Tensor:
        """Mean absolute feature weight, with its strength."""
        return self.config.gamma_features * self.features.abs().mean()

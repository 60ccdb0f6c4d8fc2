"""Readouts: from the core's map to one number a unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inception_loop.errors import ConfigurationError
from inception_loop.network.config import SpatialTransformerPyramid2d
from inception_loop.network.pyramid import Pyramid
from inception_loop.network.sampling import sampled_dot

FEW_UNITS = 4
"""Up to this many units an image, looking only where they look is cheaper than making the pyramid."""

CACHED_BYTES = 16 << 20


class PyramidReadout(nn.Module):
    """SpatialTransformerPyramid2d: each unit looks at one place of a pyramid of the map.

    The learnt position is kept in [-1, 1]; the eye's shift is added after that, and beyond the border of
    the map the border's value counts.

    Parameters
    ----------
    config
        Pyramid, regulariser, start of the positions.
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
        config: SpatialTransformerPyramid2d,
        units: int,
        channels: int,
        map_size: tuple[int, int],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if units < 1:
            raise ConfigurationError(
                f"a readout of {units} units; expected at least 1 (does the data config keep any?)"
            )
        self.config = config
        self.pyramid = Pyramid(map_size, config.scale_n, downsample=config.downsample)
        start = torch.rand(units, 2, generator=generator) * 2 - 1
        self.position = nn.Parameter(start * config.init_range)
        self.features = nn.Parameter(torch.full((units, self.pyramid.levels, channels), 1 / channels))
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(
        self, x: Tensor, shift: Tensor | None = None, units: Tensor | None = None, *, paired: bool = False
    ) -> Tensor:
        """Read out all units, some of them, or one an image.

        Parameters
        ----------
        x
            (B, C, H, W) output of the core.
        shift
            (B, 2) shift (x, y) of all positions in each image, units of the map; None is no shift.
        units
            (U,) columns wanted; None is all of them.
        paired
            Read image b out for ``units[b]`` only (then U = B).

        Returns
        -------
        Tensor
            (B, U), or (B,) when paired.
        """
        position, features, bias = self._of(units)
        if paired:
            at = position if shift is None else position + shift
            return self._few(x, at[:, None], features[:, None])[:, 0] + bias
        at = position.expand(len(x), -1, -1) if shift is None else position + shift[:, None]
        if len(bias) <= FEW_UNITS:
            return self._few(x, at, features[None]) + bias
        return self._many(x, at, features) + bias

    def _of(self, units: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        position = self.position.clamp(-1, 1)
        if units is None:
            return position, self.features, self.bias
        return position[units], self.features[units], self.bias[units]

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
        size = max(1, CACHED_BYTES // an_image)
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

    @torch.no_grad()
    def project(self) -> None:
        """Bring the learnt positions back into [-1, 1] (after an optimiser's step)."""
        self.position.clamp_(-1, 1)

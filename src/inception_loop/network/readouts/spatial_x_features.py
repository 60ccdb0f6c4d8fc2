"""The factorised readout: a mask over the map times a vector of feature weights (Klindt et al. 2017)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from inception_loop.artifacts.identity import Config
from inception_loop.network.bounds import kept_within
from inception_loop.network.masking import masked_dot, moved
from inception_loop.network.readouts.readout import ReadoutModule

SMALLEST_NORM = 1e-6
"""Added to the norm of masks, so that a mask of zeros stays one."""


class SpatialXFeatures(Config):
    """Readout through a mask a unit, non-negative and of L2 norm 1, times feature weights."""

    type: Literal["SpatialXFeatures"] = "SpatialXFeatures"
    gamma_features: float = Field(
        1.0, ge=0, description="Strength of the L1 norm (mean) of the weights, mask times features."
    )
    init_range: float = Field(
        0.1, ge=0, le=1, description="Masks start around places uniform in ± this, units of the map."
    )
    init_sigma: float = Field(2.0, gt=0, description="They start as Gaussians of this s.d., px of the map.")

    def build(
        self,
        units: int,
        channels: int,
        map_size: tuple[int, int],
        generator: torch.Generator,
        cortex: Tensor | None = None,
    ) -> MaskReadout:
        """Make the readout of one scan; see `MaskReadout`. Places in the cortex play no part."""
        return MaskReadout(self, units, channels, map_size, generator)


class MaskReadout(ReadoutModule):
    """SpatialXFeatures: each unit looks through a mask of its own.

    The eye moves the map behind the masks, which is the same as moving all masks and costs one map an image.

    Parameters
    ----------
    config
        Regulariser, start of the masks.
    units
        Number of units N.
    channels
        Channels C of the core's map.
    map_size
        (height, width) of the core's map.
    generator
        Source of the places of the initial masks. Feature weights start at 1/C, biases at 0.

    Attributes
    ----------
    mask : (N, height, width), what of it is negative counts as zero
    features : (N, C)
    bias : (N,)

    Examples
    --------
    >>> readout = MaskReadout(SpatialXFeatures(), 7, 4, (22, 50), torch.Generator().manual_seed(1))
    >>> readout(torch.zeros(3, 4, 22, 50)).shape
    torch.Size([3, 7])
    """

    def __init__(
        self,
        config: SpatialXFeatures,
        units: int,
        channels: int,
        map_size: tuple[int, int],
        generator: torch.Generator,
    ) -> None:
        super().__init__(units)
        self.config = config
        self.mask = nn.Parameter(torch.zeros(units, *map_size))
        self.features = nn.Parameter(torch.full((units, channels), 1 / channels))
        self.start_at((torch.rand(units, 2, generator=generator) * 2 - 1) * config.init_range)

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
        mask, features, bias = (
            v if units is None else v[units] for v in (self.mask, self.features, self.bias)
        )
        x, mask = x if shift is None else moved(x, shift), normalized(mask)
        if paired:
            seen = x.flatten(2) @ mask.flatten(1)[..., None]
            return (seen[..., 0] * features).sum(1) + bias
        return masked_dot(x, mask, features) + bias

    def regularizer(self) -> Tensor:
        """Mean absolute weight, mask times features over units, pixels and channels, with its strength."""
        weight = normalized(self.mask).flatten(1).mean(1) * self.features.abs().mean(1)
        return self.config.gamma_features * weight.mean()

    def centers(self) -> Tensor:
        """(N, 2) centroid of each mask, x and y in [-1, 1]."""
        mask = normalized(self.mask)
        total = mask.sum((1, 2)) + SMALLEST_NORM
        return torch.stack([_centroid(mask.sum(1), total), _centroid(mask.sum(2), total)], 1)

    @torch.no_grad()
    def start_at(self, centers: Tensor) -> None:
        """Make each mask a Gaussian around one of (N, 2) places, x and y in [-1, 1]."""
        height, width = self.mask.shape[1:]
        columns, rows = self._bump(centers[:, 0], width), self._bump(centers[:, 1], height)
        self.mask.copy_(rows[:, :, None] * columns[:, None])

    def _bump(self, centers: Tensor, side: int) -> Tensor:
        """(N, side) Gaussians along one axis around (N,) places in [-1, 1]."""
        pixel = torch.arange(side, device=centers.device)
        away = pixel - (centers[:, None] + 1) / 2 * (side - 1)
        return torch.exp(-away.square() / (2 * self.config.init_sigma**2))

    def place_parameters(self) -> list[nn.Parameter]:
        """Return the masks."""
        return [self.mask]

    @torch.no_grad()
    def project(self) -> None:
        """Take what is negative out of the masks; called after every step of the optimiser."""
        self.mask.clamp_(min=0)


def normalized(mask: Tensor) -> Tensor:
    """(U, H, W) masks without what is negative, each of L2 norm 1."""
    mask = kept_within(mask, 0, math.inf)
    norm: Tensor = torch.linalg.vector_norm(mask, dim=(1, 2), keepdim=True)
    return mask / (norm + SMALLEST_NORM)


def _centroid(along: Tensor, total: Tensor) -> Tensor:
    """(U,) centre, in [-1, 1], of masks (U, side) summed across one axis."""
    side = along.shape[1]
    pixel = torch.arange(side, device=along.device, dtype=along.dtype)
    return 2 * (along @ pixel) / (total * max(side - 1, 1)) - 1

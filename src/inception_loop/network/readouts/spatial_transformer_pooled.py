"""The readout from a map and its averages over 2×2, 4×4, … px."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inception_loop.network.pooling import Pooled
from inception_loop.network.readouts.spatial_transformer_pyramid import PointOfLevels


class SpatialTransformerPooled2d(PointOfLevels):
    """Readout from one place a unit in the core's output and its averages over ever larger squares.

    A place is a share of the way between the centres of a level's corner pixels, so it means the same in all
    levels up to half a pixel of the coarser one (as published).

    Examples
    --------
    >>> SpatialTransformerPooled2d().levels((22, 50)).sizes
    [(22, 50), (11, 25), (5, 12), (2, 6), (1, 3)]
    """

    type: Literal["SpatialTransformerPooled2d"] = "SpatialTransformerPooled2d"
    pool_steps: int = Field(4, ge=0, description="Times the map is halved; there is one level more.")
    gamma_features: float = Field(
        20.0, ge=0, description="Strength of the L1 norm (mean) of the feature weights."
    )

    def levels(self, map_size: tuple[int, int]) -> Pooled:
        """Make the averages of maps of (height, width)."""
        return Pooled(map_size, self.pool_steps)

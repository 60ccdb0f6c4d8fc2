"""The readout from one place of the map alone."""

from __future__ import annotations

from typing import Literal

from inception_loop.network.pooling import Pooled
from inception_loop.network.readouts.spatial_transformer_pyramid import PointOfLevels


class SpatialTransformer2d(PointOfLevels):
    """Readout from one place a unit in the core's output as it is.

    Examples
    --------
    >>> SpatialTransformer2d().levels((22, 50)).sizes
    [(22, 50)]
    """

    type: Literal["SpatialTransformer2d"] = "SpatialTransformer2d"

    def levels(self, map_size: tuple[int, int]) -> Pooled:
        """Make the only level of maps of (height, width)."""
        return Pooled(map_size, 0)

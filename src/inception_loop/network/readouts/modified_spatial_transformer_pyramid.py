"""The pyramid readout whose differences are taken before the blurred map is halved."""

from __future__ import annotations

from typing import Literal

from inception_loop.network.pyramid import Pyramid
from inception_loop.network.readouts.spatial_transformer_pyramid import GaussianPyramid


class ModifiedSpatialTransformerPyramid2d(GaussianPyramid):
    """Readout from one place a unit in a pyramid whose levels are ``x - blurred x``, nothing blown up again.

    Without ``downsample`` it is the same as SpatialTransformerPyramid2d.

    Examples
    --------
    >>> ModifiedSpatialTransformerPyramid2d(scale_n=3).levels((22, 50)).sizes
    [(22, 50), (11, 25), (6, 13), (3, 7)]
    """

    type: Literal["ModifiedSpatialTransformerPyramid2d"] = "ModifiedSpatialTransformerPyramid2d"

    def levels(self, map_size: tuple[int, int]) -> Pyramid:
        """Make the pyramid of maps of (height, width)."""
        return Pyramid(map_size, self.scale_n, downsample=self.downsample, upsample=False)

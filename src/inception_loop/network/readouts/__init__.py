"""Readouts: from the core's map to units. A new one is a file here and a line in the union."""

from inception_loop.network.readouts.readout import PointReadout, ReadoutModule
from inception_loop.network.readouts.spatial_transformer_pyramid import (
    PyramidReadout,
    SpatialTransformerPyramid2d,
)

Readout = SpatialTransformerPyramid2d

__all__ = ["PointReadout", "PyramidReadout", "Readout", "ReadoutModule", "SpatialTransformerPyramid2d"]

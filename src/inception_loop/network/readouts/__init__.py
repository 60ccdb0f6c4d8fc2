"""Readouts: from the core's map to units. A new one is a file here and a line in the union."""

from typing import Annotated

from pydantic import Field

from inception_loop.network.readouts.gaussian import FullGaussian2d, GaussianReadout
from inception_loop.network.readouts.grid_predictor import GridPredictor
from inception_loop.network.readouts.readout import PointReadout, ReadoutModule
from inception_loop.network.readouts.spatial_transformer_pyramid import (
    PyramidReadout,
    SpatialTransformerPyramid2d,
)

Readout = Annotated[FullGaussian2d | SpatialTransformerPyramid2d, Field(discriminator="type")]

__all__ = [
    "FullGaussian2d",
    "GaussianReadout",
    "GridPredictor",
    "PointReadout",
    "PyramidReadout",
    "Readout",
    "ReadoutModule",
    "SpatialTransformerPyramid2d",
]

"""Readouts: from the core's map to units. A new one is a file here and a line in the union."""

from typing import Annotated

from pydantic import Field

from inception_loop.network.readouts.gaussian import FullGaussian2d, GaussianReadout
from inception_loop.network.readouts.grid_predictor import GridPredictor
from inception_loop.network.readouts.modified_spatial_transformer_pyramid import (
    ModifiedSpatialTransformerPyramid2d,
)
from inception_loop.network.readouts.readout import PointReadout, ReadoutModule
from inception_loop.network.readouts.spatial_transformer import SpatialTransformer2d
from inception_loop.network.readouts.spatial_transformer_pooled import SpatialTransformerPooled2d
from inception_loop.network.readouts.spatial_transformer_pyramid import (
    PyramidReadout,
    SpatialTransformerPyramid2d,
)
from inception_loop.network.readouts.spatial_x_features import MaskReadout, SpatialXFeatures

Readout = Annotated[
    FullGaussian2d
    | ModifiedSpatialTransformerPyramid2d
    | SpatialTransformer2d
    | SpatialTransformerPooled2d
    | SpatialTransformerPyramid2d
    | SpatialXFeatures,
    Field(discriminator="type"),
]

__all__ = [
    "FullGaussian2d",
    "GaussianReadout",
    "GridPredictor",
    "MaskReadout",
    "ModifiedSpatialTransformerPyramid2d",
    "PointReadout",
    "PyramidReadout",
    "Readout",
    "ReadoutModule",
    "SpatialTransformer2d",
    "SpatialTransformerPooled2d",
    "SpatialTransformerPyramid2d",
    "SpatialXFeatures",
]

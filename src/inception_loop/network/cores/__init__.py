"""Cores: the convolutions that all units share. A new one is a file here and a line in the union."""

from typing import Annotated

from pydantic import Field

from inception_loop.network.cores.core import CoreModule
from inception_loop.network.cores.depth_separable import DepthSeparable
from inception_loop.network.cores.gaussian_laplace import (
    GaussianLaplace,
    LinearGaussianLaplace,
    StackedLinearGaussianLaplace,
)
from inception_loop.network.cores.plain import Linear, ModLinear, ModStacked2d, Stacked2d
from inception_loop.network.cores.sigmoid_laplace import LinearSigmoidLaplace, SigmoidLaplace

Core = Annotated[
    GaussianLaplace
    | LinearGaussianLaplace
    | StackedLinearGaussianLaplace
    | SigmoidLaplace
    | LinearSigmoidLaplace
    | Stacked2d
    | ModStacked2d
    | Linear
    | ModLinear
    | DepthSeparable,
    Field(discriminator="type"),
]

__all__ = [
    "Core",
    "CoreModule",
    "DepthSeparable",
    "GaussianLaplace",
    "Linear",
    "LinearGaussianLaplace",
    "LinearSigmoidLaplace",
    "ModLinear",
    "ModStacked2d",
    "SigmoidLaplace",
    "Stacked2d",
    "StackedLinearGaussianLaplace",
]

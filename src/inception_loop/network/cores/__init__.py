"""Cores: the convolutions that all units share. A new one is a file here and a line in the union."""

from typing import Annotated

from pydantic import Field

from inception_loop.network.cores.core import CoreModule
from inception_loop.network.cores.gaussian_laplace import (
    GaussianLaplace,
    LinearGaussianLaplace,
    StackedLinearGaussianLaplace,
)

Core = Annotated[
    GaussianLaplace | LinearGaussianLaplace | StackedLinearGaussianLaplace, Field(discriminator="type")
]

__all__ = [
    "Core",
    "CoreModule",
    "GaussianLaplace",
    "LinearGaussianLaplace",
    "StackedLinearGaussianLaplace",
]

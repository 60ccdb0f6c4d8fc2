"""The Gauss–Laplace cores: first kernels smooth everywhere, and most of all at their border.

The nonlinear one is the network of the closed loop, the stacked linear one its control (Walker et al. 2019).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from inception_loop.network.cores.stacked import SingleLayer, Stacked
from inception_loop.network.regularizers import gaussian_laplace_weight


class GaussianWeight(SingleLayer):
    """Smoothness that weighs ``1 - exp(-d²/2σ²) + bias`` at distance d from a kernel's centre."""

    gauss_sigma: float = Field(
        0.5, gt=0, description="Width of the Gaussian dip of the smoothness weight, half-sides of the kernel."
    )
    gauss_bias: float = Field(0.0, ge=0, description="Added to the smoothness weight everywhere.")

    def pixel_weight(self) -> Tensor:
        """(k, k) weight of the smoothness penalty at every pixel of the first kernels."""
        return gaussian_laplace_weight(self.input_kern, self.gauss_sigma, self.gauss_bias)


class GaussianLaplace(GaussianWeight, Stacked):
    """The nonlinear core: convolution, batch norm and ELU in every layer."""

    nonlinear: ClassVar[bool] = True
    type: Literal["GaussianLaplace"] = "GaussianLaplace"


class StackedLinearGaussianLaplace(GaussianWeight, Stacked):
    """Its control: the same depth and kernels with no nonlinearity at all."""

    nonlinear: ClassVar[bool] = False
    type: Literal["StackedLinearGaussianLaplace"] = "StackedLinearGaussianLaplace"


class LinearGaussianLaplace(GaussianWeight):
    """One linear layer."""

    nonlinear: ClassVar[bool] = False
    type: Literal["LinearGaussianLaplace"] = "LinearGaussianLaplace"

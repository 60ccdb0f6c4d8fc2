"""The sigmoid–Laplace cores: first kernels the smoother the farther a pixel is from their centre."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from inception_loop.network.cores.stacked import SingleLayer, Stacked
from inception_loop.network.regularizers import sigmoid_laplace_weight


class SigmoidWeight(SingleLayer):
    """Smoothness that weighs ``σ(scale · (d - center))`` at distance d from a kernel's centre."""

    sigmoid_scale: float = Field(
        1.0, gt=0, description="Steepness of the smoothness weight, per half-side of the kernel."
    )
    sigmoid_center: float = Field(
        0.5, ge=0, description="Distance at which the smoothness weight is a half, half-sides of the kernel."
    )

    def pixel_weight(self) -> Tensor:
        """(k, k) weight of the smoothness penalty at every pixel of the first kernels."""
        return sigmoid_laplace_weight(self.input_kern, self.sigmoid_scale, self.sigmoid_center)


class SigmoidLaplace(SigmoidWeight, Stacked):
    """A nonlinear core: convolution, batch norm and ELU in every layer."""

    nonlinear: ClassVar[bool] = True
    type: Literal["SigmoidLaplace"] = "SigmoidLaplace"


class LinearSigmoidLaplace(SigmoidWeight):
    """One linear layer."""

    nonlinear: ClassVar[bool] = False
    type: Literal["LinearSigmoidLaplace"] = "LinearSigmoidLaplace"

"""The plain cores: first kernels equally smooth everywhere.

Published, they take the Laplacian without padding, which the published code cannot compute; here that is the
Laplacian of the kernels' inner pixels. The modified ones choose.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from inception_loop.network.cores.stacked import SingleLayer, Stacked

_INNER = "Only 0: the Laplacian of the kernels' inner pixels."


class EvenWeight(SingleLayer):
    """Smoothness that weighs 1 at every pixel."""

    def pixel_weight(self) -> Tensor:
        """(k, k) ones."""
        return torch.ones(self.input_kern, self.input_kern)


class ModStacked2d(EvenWeight, Stacked):
    """A nonlinear core: convolution, batch norm and ELU in every layer."""

    nonlinear: ClassVar[bool] = True
    type: Literal["ModStacked2d"] = "ModStacked2d"


class Stacked2d(EvenWeight, Stacked):
    """The same without padding of the Laplacian."""

    nonlinear: ClassVar[bool] = True
    type: Literal["Stacked2d"] = "Stacked2d"
    laplace_padding: Literal[0] = Field(0, description=_INNER)


class ModLinear(EvenWeight):
    """One linear layer."""

    nonlinear: ClassVar[bool] = False
    type: Literal["ModLinear"] = "ModLinear"


class Linear(EvenWeight):
    """The same without padding of the Laplacian."""

    nonlinear: ClassVar[bool] = False
    type: Literal["Linear"] = "Linear"
    laplace_padding: Literal[0] = Field(0, description=_INNER)

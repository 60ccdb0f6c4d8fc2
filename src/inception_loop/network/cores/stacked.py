"""Stacks of convolutions with skips: what the published cores have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, Self, cast

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.artifacts.identity import Config
from inception_loop.network.cores.layered import LayeredCore
from inception_loop.network.precision import convolve, normalise
from inception_loop.network.regularizers import group_sparsity, laplace_penalty, xavier_normal


def check_odd(hidden_kern: int) -> int:
    """Return the side of hidden kernels, or say in a ValueError that it is even."""
    if hidden_kern % 2 == 0:
        raise ValueError(f"hidden_kern is {hidden_kern}; expected an odd side, so that 'same' padding exists")
    return hidden_kern


class SingleLayer(Config):
    """Fields of a core of one convolution, and of the first layer of every other."""

    nonlinear: ClassVar[bool]
    """Whether ELU follows every layer."""

    hidden_channels: int = Field(32, ge=1, description="Output channels of every layer.")
    input_kern: int = Field(
        15, ge=1, description="Side of the first layer's kernels, px; the layer is unpadded."
    )
    gamma_input: float = Field(50.0, ge=0, description="Strength of the Laplacian smoothness of layer 0.")
    momentum: float = Field(
        0.1, gt=0, le=1, description="Share of a batch in batch norm's running statistics."
    )
    laplace_padding: Literal[0, 1] = Field(
        1,
        description="Smoothness of the whole first kernels, zero beyond their border (1), or of their inner "
        "pixels only (0).",
    )

    @model_validator(mode="after")
    def _has_inner_pixels(self) -> Self:
        if self.laplace_padding == 0 and self.input_kern < 3:
            raise ValueError(
                f"input_kern is {self.input_kern} with laplace_padding 0; expected 3 px or more, so that the "
                "kernels have inner pixels, or laplace_padding 1"
            )
        return self

    @abstractmethod
    def pixel_weight(self) -> Tensor:
        """(k, k) weight of the smoothness penalty at every pixel of the first kernels."""

    def build(self, generator: torch.Generator) -> StackedCore:
        """Make the core, its kernels drawn from a generator."""
        return StackedCore(self, [self.input_kern], 1, 0.0, generator)


class Stacked(SingleLayer):
    """Fields of the cores of several convolutions."""

    hidden_kern: int = Field(7, ge=1, description="Side of the other layers' kernels, px of the map; odd.")
    layers: int = Field(3, ge=1, description="Number of convolutional layers.")
    skip: int = Field(
        3, ge=0, description="A layer sees the outputs of this many layers before it; 0 or 1: one."
    )
    gamma_hidden: float = Field(
        0.1, ge=0, description="Strength of the group sparsity of the hidden kernels."
    )

    @field_validator("hidden_kern")
    @classmethod
    def _odd(cls, value: int) -> int:
        return check_odd(value)

    def build(self, generator: torch.Generator) -> StackedCore:
        """Make the core, its kernels drawn from a generator."""
        sides = [self.input_kern, *[self.hidden_kern] * (self.layers - 1)]
        return StackedCore(self, sides, max(self.skip, 1), self.gamma_hidden, generator)


class ConvolutionLayer(nn.Module):
    """Convolution without bias, batch norm and, in the nonlinear families, ELU.

    Parameters
    ----------
    into, out
        Channels.
    side
        Side of the kernel, px.
    padding
        Zeros around the map, px.
    momentum
        Of batch norm's running statistics.
    nonlinear
        Whether ELU follows.
    generator
        Source of the initial kernels (Xavier-normal).
    """

    def __init__(
        self,
        into: int,
        out: int,
        side: int,
        *,
        padding: int,
        momentum: float,
        nonlinear: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(xavier_normal((out, into, side, side), generator))
        self.norm = nn.BatchNorm2d(out, momentum=momentum)
        self.padding = padding
        self.nonlinear = nonlinear

    def forward(self, x: Tensor) -> Tensor:
        """(B, into, H, W) → (B, out, H + 2 padding - side + 1, …)."""
        y = normalise(self.norm, convolve(x, self.weight, padding=self.padding))
        return functional.elu(y, inplace=True) if self.nonlinear else y


class StackedCore(LayeredCore):
    """Convolutions one after the other, in the nonlinear families with ELUs; every layer is read out.

    Parameters
    ----------
    config
        Channels, whether ELUs follow, and how smooth the first kernels should be.
    sides
        Side of each layer's kernels, px.
    depth
        Number of earlier layers that a layer sees.
    gamma_hidden
        Strength of the group sparsity of the hidden kernels.
    generator
        Source of the initial kernels.

    Examples
    --------
    >>> from inception_loop.network.cores import GaussianLaplace
    >>> core = GaussianLaplace(hidden_channels=2).build(torch.Generator().manual_seed(1))
    >>> core(torch.zeros(4, 1, 36, 64)).shape, core.map_size((36, 64))
    (torch.Size([4, 6, 22, 50]), (22, 50))
    """

    pixel_weight: Tensor

    def __init__(
        self,
        config: SingleLayer,
        sides: list[int],
        depth: int,
        gamma_hidden: float,
        generator: torch.Generator,
    ) -> None:
        channels = config.hidden_channels
        layers = [
            ConvolutionLayer(
                1 if index == 0 else min(depth, index) * channels,
                channels,
                side,
                padding=0 if index == 0 else side // 2,
                momentum=config.momentum,
                nonlinear=config.nonlinear,
                generator=generator,
            )
            for index, side in enumerate(sides)
        ]
        super().__init__(layers, hidden_channels=channels, input_kern=config.input_kern, depth=depth)
        self.gamma_input, self.gamma_hidden = config.gamma_input, gamma_hidden
        self.laplace_padding = config.laplace_padding
        self.register_buffer("pixel_weight", config.pixel_weight(), persistent=False)

    def regularizer(self) -> Tensor:
        """Smoothness of layer 0 and group sparsity of the others, with their strengths."""
        first, *hidden = (cast(Tensor, layer.weight) for layer in self.layers)
        smooth = self.gamma_input * laplace_penalty(first, self.pixel_weight, padding=self.laplace_padding)
        if not hidden:
            return smooth
        return smooth + self.gamma_hidden * group_sparsity(hidden)

"""Stacks of convolutions with skips: what the published cores have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.artifacts.identity import Config
from inception_loop.network.cores.core import CoreModule
from inception_loop.network.regularizers import group_sparsity, laplace_penalty, xavier_normal


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
        if value % 2 == 0:
            raise ValueError(f"hidden_kern is {value}; expected an odd side, so that 'same' padding exists")
        return value

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
        y: Tensor = self.norm(functional.conv2d(x, self.weight, padding=self.padding))
        return functional.elu(y, inplace=True) if self.nonlinear else y


class StackedCore(CoreModule):
    """Convolutions one after the other, in the nonlinear families with ELUs.

    Layer 0 is unpadded, hidden layers keep the size of the map. Layer l sees the outputs of the
    ``min(depth, l)`` layers before it; the output is all layers' outputs, one after the other.

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
        super().__init__(config.input_kern, len(sides) * config.hidden_channels)
        self.gamma_input, self.gamma_hidden = config.gamma_input, gamma_hidden
        self.depth = depth
        self.layers = nn.ModuleList(
            ConvolutionLayer(
                1 if index == 0 else min(depth, index) * config.hidden_channels,
                config.hidden_channels,
                side,
                padding=0 if index == 0 else side // 2,
                momentum=config.momentum,
                nonlinear=config.nonlinear,
                generator=generator,
            )
            for index, side in enumerate(sides)
        )
        self.register_buffer("pixel_weight", config.pixel_weight(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) normalised images → (B, channels, H', W')."""
        outputs: list[Tensor] = []
        x = images
        for layer in self.layers:
            if outputs:
                seen = outputs[-self.depth :]
                x = seen[0] if len(seen) == 1 else torch.cat(seen, 1)
            outputs.append(layer(x))
        return torch.cat(outputs, 1)

    def regularizer(self) -> Tensor:
        """Smoothness of layer 0 and group sparsity of the others, with their strengths."""
        first, *hidden = (cast(Tensor, layer.weight) for layer in self.layers)
        smooth = self.gamma_input * laplace_penalty(first, self.pixel_weight)
        if not hidden:
            return smooth
        return smooth + self.gamma_hidden * group_sparsity(hidden)

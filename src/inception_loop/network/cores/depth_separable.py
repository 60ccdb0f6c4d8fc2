"""The depth-separable core of today's competitions (Sensorium; Willeke et al. 2022).

After a full first convolution every layer mixes the channels (1 × 1), convolves each on its own and mixes
again. The channels lie last in memory throughout, which halves the time of a step on a CPU.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.artifacts.identity import Config
from inception_loop.network.cores.depthwise import depthwise
from inception_loop.network.cores.layered import LayeredCore
from inception_loop.network.cores.stacked import ConvolutionLayer, check_odd
from inception_loop.network.precision import convolve, normalise
from inception_loop.network.regularizers import laplace_penalty, relative_laplace_penalty, xavier_normal


class DepthSeparable(Config):
    """A core of few parameters and wide hidden kernels; defaults are the competition's baseline.

    Only the first kernels are penalised. Group sparsity, the norm of every kernel from one channel to
    another, has no counterpart where no such kernels exist.
    """

    type: Literal["DepthSeparable"] = "DepthSeparable"
    hidden_channels: int = Field(64, ge=1, description="Output channels of every layer.")
    input_kern: int = Field(
        9, ge=1, description="Side of the first layer's kernels, px; the layer is unpadded."
    )
    hidden_kern: int = Field(7, ge=1, description="Side of the depthwise kernels, px of the map; odd.")
    layers: int = Field(4, ge=1, description="Number of layers.")
    skip: int = Field(
        0, ge=0, description="A layer sees the outputs of this many layers before it; 0 or 1: one."
    )
    stack: int | None = Field(
        -1, description="First layer that the readout sees, negative from the last; none: all of them."
    )
    linear: bool = Field(False, description="No ELU anywhere: the control.")
    input_regularizer: Literal["LaplaceL2norm", "LaplaceL2"] = Field(
        "LaplaceL2norm",
        description="Smoothness of layer 0: of its Laplacian, with or without division by its own size.",
    )
    gamma_input: float = Field(6.3831, ge=0, description="Strength of the smoothness of layer 0.")
    momentum: float = Field(
        0.9, gt=0, le=1, description="Share of a batch in batch norm's running statistics."
    )

    @property
    def nonlinear(self) -> bool:
        """Whether ELU follows every layer."""
        return not self.linear

    @model_validator(mode="after")
    def _possible(self) -> DepthSeparable:
        check_odd(self.hidden_kern)
        if self.stack is not None and not -self.layers <= self.stack < self.layers:
            raise ValueError(
                f"stack is {self.stack} with {self.layers} layers; expected {-self.layers} to "
                f"{self.layers - 1}, or none for all layers"
            )
        return self

    def build(self, generator: torch.Generator) -> DepthSeparableCore:
        """Make the core, its kernels drawn from a generator."""
        return DepthSeparableCore(self, generator)


class DepthSeparableLayer(nn.Module):
    """1 × 1, depthwise and 1 × 1 convolution, batch norm and ELU.

    Only the first convolution has a bias: batch norm takes away those of the others, and of the first all
    but what it does at the map's border.

    Parameters
    ----------
    into, out
        Channels.
    side
        Side of the depthwise kernel, odd, px.
    momentum
        Of batch norm's running statistics.
    nonlinear
        Whether ELU follows.
    generator
        Source of the initial kernels (Xavier-normal).
    """

    def __init__(
        self, into: int, out: int, side: int, *, momentum: float, nonlinear: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.in_depth = nn.Parameter(xavier_normal((out, into, 1, 1), generator))
        self.in_bias = nn.Parameter(torch.zeros(out))
        self.spatial = nn.Parameter(xavier_normal((out, 1, side, side), generator))
        self.out_depth = nn.Parameter(xavier_normal((out, out, 1, 1), generator))
        self.norm = nn.BatchNorm2d(out, momentum=momentum)
        self.nonlinear = nonlinear

    def forward(self, x: Tensor) -> Tensor:
        """(B, into, H, W) → (B, out, H, W)."""
        mixed = convolve(x, self.in_depth, self.in_bias)
        y = normalise(self.norm, convolve(depthwise(mixed, self.spatial), self.out_depth))
        return functional.elu(y, inplace=True) if self.nonlinear else y


class DepthSeparableCore(LayeredCore):
    """A full convolution and depth-separable layers.

    Parameters
    ----------
    config
        Its shape.
    generator
        Source of the initial kernels.

    Examples
    --------
    >>> core = DepthSeparable(hidden_channels=3).build(torch.Generator().manual_seed(1))
    >>> core(torch.zeros(4, 1, 36, 64)).shape, core.map_size((36, 64))
    (torch.Size([4, 3, 28, 56]), (28, 56))
    """

    pixel_weight: Tensor

    def __init__(self, config: DepthSeparable, generator: torch.Generator) -> None:
        channels, depth, momentum = config.hidden_channels, max(config.skip, 1), config.momentum
        first = ConvolutionLayer(
            1,
            channels,
            config.input_kern,
            padding=0,
            momentum=momentum,
            nonlinear=config.nonlinear,
            generator=generator,
        )
        hidden = [
            DepthSeparableLayer(
                min(depth, index) * channels,
                channels,
                config.hidden_kern,
                momentum=momentum,
                nonlinear=config.nonlinear,
                generator=generator,
            )
            for index in range(1, config.layers)
        ]
        super().__init__(
            [first, *hidden],
            hidden_channels=channels,
            input_kern=config.input_kern,
            depth=depth,
            first_read=range(config.layers)[config.stack or 0],
        )
        self.gamma_input = config.gamma_input
        self.input_regularizer = config.input_regularizer
        self.register_buffer("pixel_weight", torch.ones(config.input_kern, config.input_kern), False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) normalised images → (B, channels, H', W'), channels last in memory."""
        return super().forward(images.contiguous()[:, 0, :, :, None].movedim(-1, 1))

    def regularizer(self) -> Tensor:
        """Smoothness of layer 0, with its strength."""
        kernels = cast(Tensor, self.layers[0].weight)
        relative = self.input_regularizer == "LaplaceL2norm"
        penalty = relative_laplace_penalty if relative else laplace_penalty
        return self.gamma_input * penalty(kernels, self.pixel_weight)

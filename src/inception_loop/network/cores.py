"""The convolutional cores: what all units share."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.errors import ConfigurationError
from inception_loop.network.config import GaussianLaplace, LaplaceCore
from inception_loop.network.regularizers import (
    gaussian_laplace_weight,
    group_sparsity,
    laplace_penalty,
    xavier_normal,
)


class ConvolutionLayer(nn.Module):
    """Convolution without bias, batch norm and, in the nonlinear family, ELU.

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


class StackedCore(nn.Module):
    """GaussianLaplace, or StackedLinearGaussianLaplace: the same without the ELUs.

    Layer 0 is unpadded, hidden layers keep the size of the map. Layer l sees the outputs of the
    ``min(skip, l)`` layers before it; the output is all layers' outputs, one after the other.

    Parameters
    ----------
    config
        Which family, and its sizes.
    generator
        Source of the initial kernels.

    Examples
    --------
    >>> core = StackedCore(GaussianLaplace(hidden_channels=2), torch.Generator().manual_seed(1))
    >>> core(torch.zeros(4, 1, 36, 64)).shape, core.map_size((36, 64))
    (torch.Size([4, 6, 22, 50]), (22, 50))
    """

    pixel_weight: Tensor

    def __init__(self, config: LaplaceCore, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.depth = max(config.skip, 1)
        self.layers = nn.ModuleList(self._layer(index, generator) for index in range(config.layers))
        weight = gaussian_laplace_weight(config.input_kern, config.gauss_sigma, config.gauss_bias)
        self.register_buffer("pixel_weight", weight, persistent=False)

    def _layer(self, index: int, generator: torch.Generator) -> ConvolutionLayer:
        c = self.config
        return ConvolutionLayer(
            1 if index == 0 else min(self.depth, index) * c.hidden_channels,
            c.hidden_channels,
            c.input_kern if index == 0 else c.hidden_kern,
            padding=0 if index == 0 else c.hidden_kern // 2,
            momentum=c.momentum,
            nonlinear=isinstance(c, GaussianLaplace),
            generator=generator,
        )

    @property
    def channels(self) -> int:
        """Channels of the output: layers × hidden channels."""
        return self.config.layers * self.config.hidden_channels

    def map_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the output for images of (height, width) px.

        Raises
        ------
        ConfigurationError
            If the images are smaller than the first kernel.
        """
        height, width = (side - self.config.input_kern + 1 for side in image_size)
        if min(height, width) < 1:
            raise ConfigurationError(
                f"images of {image_size[0]}x{image_size[1]} px are smaller than the core's first kernel "
                f"({self.config.input_kern} px); choose a smaller input_kern or larger frames"
            )
        return height, width

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
        smooth = self.config.gamma_input * laplace_penalty(first, self.pixel_weight)
        if not hidden:
            return smooth
        return smooth + self.config.gamma_hidden * group_sparsity(hidden)

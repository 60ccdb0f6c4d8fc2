"""The parts of a network made the published way, on the weights of this project's parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from inception_loop.network.cores.depth_separable import DepthSeparableCore
from inception_loop.network.network import Network
from inception_loop.network.readouts import GaussianReadout, PyramidReadout


class PublishedPyramid(nn.Module):
    """Every pyramid level is sampled for every unit and image: batch × levels × channels × units.

    Beyond the border the border counts, as in ours.
    """

    def __init__(self, ours: PyramidReadout) -> None:
        super().__init__()
        self.ours = ours

    def forward(
        self,
        x: Tensor,
        shift: Tensor,
        units: Tensor | None = None,
        *,
        paired: bool = False,
        noise: Tensor | None = None,
    ) -> Tensor:
        """(B, C, H, W) → (B, N)."""
        grid = (self.ours.position.clamp(-1, 1) + shift[:, None])[:, :, None]
        samples = [sampled(level, grid) for level in self._levels(x)]
        weights = self.ours.features.flatten(1).T
        return (torch.cat(samples, 1) * weights).sum(1) + self.ours.bias

    def _levels(self, x: Tensor) -> list[Tensor]:
        kernel = self.ours.pyramid.taps[None, None]
        levels = []
        for _ in range(self.ours.pyramid.scale_n):
            images, channels, height, width = x.shape
            flat = x.reshape(images * channels, 1, height, width)
            low = functional.conv2d(flat, kernel, padding=2)[:, :, ::2, ::2]
            extra = [(side + 1) % 2 for side in (height, width)]
            up = functional.conv_transpose2d(low, 4 * kernel, stride=2, padding=2, output_padding=extra)
            levels.append(x - up.view_as(x))
            x = low.view(images, channels, *low.shape[2:])
        return [*levels, x]

    def regularizer(self) -> Tensor:
        """Of the shared weights."""
        return self.ours.regularizer()


class PublishedGaussian(nn.Module):
    """The map is sampled where every unit looks in every image: batch × channels × units."""

    def __init__(self, ours: GaussianReadout) -> None:
        super().__init__()
        self.ours = ours

    def forward(
        self,
        x: Tensor,
        shift: Tensor,
        units: Tensor | None = None,
        *,
        paired: bool = False,
        noise: Tensor | None = None,
    ) -> Tensor:
        """(B, C, H, W) → (B, N)."""
        drawn = torch.einsum("ncd,bnd->bnc", self.ours.sigma, noise) + self.ours.position
        grid = (drawn.clamp(-1, 1) + shift[:, None])[:, :, None]
        return (sampled(x, grid) * self.ours.features.T).sum(1) + self.ours.bias

    def regularizer(self) -> Tensor:
        """Of the shared weights."""
        return self.ours.regularizer()


class PublishedDepthSeparable(nn.Module):
    """Three convolutions of the library a layer, channels first in memory, the depthwise one by groups."""

    def __init__(self, ours: DepthSeparableCore) -> None:
        super().__init__()
        self.ours = ours
        self.channels = ours.channels

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) → (B, C, H', W'), the last layer's output."""
        first, *hidden = self.ours.layers
        x = functional.elu(first.norm(functional.conv2d(images, first.weight)))
        for layer in hidden:
            x = functional.conv2d(x, layer.in_depth, layer.in_bias)
            side = layer.spatial.shape[-1]
            x = functional.conv2d(x, layer.spatial, padding=side // 2, groups=len(layer.spatial))
            x = functional.elu(layer.norm(functional.conv2d(x, layer.out_depth)))
        return x

    def regularizer(self) -> Tensor:
        """Of the shared weights."""
        return self.ours.regularizer()


def sampled(x: Tensor, grid: Tensor) -> Tensor:
    """(B, C, N) samples of (B, C, H, W) at (B, N, 1, 2)."""
    return functional.grid_sample(x, grid, align_corners=True, padding_mode="border")[..., 0]


def published(network: Network, key: str) -> Network:
    """Put the published parts in the places of this project's."""
    readout = network.readout(key)
    kind = PublishedGaussian if isinstance(readout, GaussianReadout) else PublishedPyramid
    network.readouts[key] = kind(readout)
    if isinstance(network.core, DepthSeparableCore):
        network.core = PublishedDepthSeparable(network.core)
    return network

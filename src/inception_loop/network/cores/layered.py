"""Layers one after the other, with skips: the recursion that all cores share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from inception_loop.network.cores.core import CoreModule


class LayeredCore(CoreModule):
    """Layer l sees the outputs of the ``min(depth, l)`` layers before it, the first the images.

    Parameters
    ----------
    layers
        The layers; the first unpadded, the others keep the map's size. All have as many output channels.
    hidden_channels
        Output channels of every layer.
    input_kern
        Side of the first layer's kernels, px.
    depth
        Number of earlier layers that a layer sees.
    first_read
        The output is the outputs of the layers from this one on, one after the other.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        *,
        hidden_channels: int,
        input_kern: int,
        depth: int,
        first_read: int = 0,
    ) -> None:
        modules = list(layers)
        super().__init__(input_kern, (len(modules) - first_read) * hidden_channels)
        self.layers = nn.ModuleList(modules)
        self.depth = depth
        self.first_read = first_read

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) normalised images → (B, channels, H', W').

        Raises
        ------
        ConfigurationError
            If the images are smaller than the first kernel.
        """
        self.map_size((images.shape[-2], images.shape[-1]))
        outputs: list[Tensor] = []
        for layer in self.layers:
            outputs.append(layer(_joined(outputs[-self.depth :]) if outputs else images))
        return _joined(outputs[self.first_read :])


def _joined(outputs: list[Tensor]) -> Tensor:
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)

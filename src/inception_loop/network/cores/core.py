"""What every core is to the rest of the network."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from inception_loop.errors import ConfigurationError


class CoreModule(nn.Module, ABC):
    """Convolutions shared by all units: images to a map of features.

    Parameters
    ----------
    input_kern
        Side of the first layer's kernels, px. That layer is unpadded, all others keep the map's size.
    channels
        Channels C of the output.

    Attributes
    ----------
    margin : float
        Px from the centre of the image's border pixel to that of the map's: half the first kernel.
    """

    def __init__(self, input_kern: int, channels: int) -> None:
        super().__init__()
        self.input_kern = input_kern
        self.channels = channels
        self.margin = (input_kern - 1) / 2

    def map_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the output for images of (height, width) px.

        Raises
        ------
        ConfigurationError
            If the images are smaller than the first kernel.
        """
        height, width = (side - self.input_kern + 1 for side in image_size)
        if min(height, width) < 1:
            raise ConfigurationError(
                f"images of {image_size[0]}x{image_size[1]} px are smaller than the core's first kernel "
                f"({self.input_kern} px); choose a smaller input_kern or larger frames"
            )
        return height, width

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) normalised images → (B, C, H', W') in the images' precision, float32 or bfloat16."""

    @abstractmethod
    def regularizer(self) -> Tensor:
        """Return the penalty on the weights, with its strengths; a scalar."""

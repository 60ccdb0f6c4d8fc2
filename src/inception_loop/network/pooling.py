"""A map and its averages over 2×2, 4×4, … px."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from inception_loop.errors import ConfigurationError
from inception_loop.network.levels import Levels


class Pooled(Levels):
    """Levels by repeated average pooling by 2; a last odd row or column is left out.

    Parameters
    ----------
    size
        (height, width) of the map.
    steps
        Times it is halved; there are ``steps + 1`` levels.

    Raises
    ------
    ConfigurationError
        If the map is too small to be halved so often.

    Examples
    --------
    >>> Pooled((2, 3), 1).split(torch.arange(6.0).view(1, 1, 2, 3))[1]
    tensor([[[[2.]]]])
    """

    def __init__(self, size: tuple[int, int], steps: int) -> None:
        if min(size) >> steps < 1:
            raise ConfigurationError(
                f"a map of {size[0]}x{size[1]} px cannot be halved {steps} times; choose fewer pool_steps, "
                f"at most {min(size).bit_length() - 1}, or larger frames"
            )
        sizes = [(size[0] >> step, size[1] >> step) for step in range(steps + 1)]
        rows, columns = ([_averages(side, step) for step in range(steps + 1)] for side in size)
        super().__init__(sizes, rows, columns, torch.eye(steps + 1), sizes)

    def split(self, x: Tensor) -> list[Tensor]:
        """Make the levels of (B, C, H, W), finest first, each (B, C, h, w)."""
        levels = [x]
        for _ in range(self.levels - 1):
            levels.append(functional.avg_pool2d(levels[-1], 2))
        return levels


def _averages(side: int, step: int) -> Tensor:
    """(side of the level, side) matrix that averages over ``2 ** step`` px."""
    pixels = 1 << step
    matrix = torch.zeros(side >> step, side)
    for row in range(len(matrix)):
        matrix[row, row * pixels : (row + 1) * pixels] = 1 / pixels
    return matrix

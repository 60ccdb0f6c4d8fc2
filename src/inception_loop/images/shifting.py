"""Displace images by whole pixels."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

Pictures = TypeVar("Pictures", npt.NDArray[np.floating], Tensor)


def shift_images(images: Pictures, shift: tuple[int, int]) -> Pictures:
    """Move (K, H, W) images by whole pixels (x to the right, y down); the border pixels are repeated.

    Examples
    --------
    >>> shift_images(np.array([[[1.0, 2.0, 3.0]]]), (1, 0)).tolist()
    [[[1.0, 1.0, 2.0]]]
    """
    x, y = shift
    height, width = images.shape[1:]
    rows = np.clip(np.arange(height) - y, 0, height - 1)
    columns = np.clip(np.arange(width) - x, 0, width - 1)
    return images[:, rows[:, None], columns]

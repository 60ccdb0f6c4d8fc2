"""From an image of the network's size in grey levels to the bytes that a rig is sent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.floating]


def to_rig(images: Pictures, zoom: int) -> npt.NDArray[np.uint8]:
    """Repeat every pixel ``zoom`` × ``zoom`` times and round to grey levels.

    Averaging the areas gives the rounded image back exactly.

    Examples
    --------
    >>> to_rig(np.array([[[0.4, 254.6]]]), 2).tolist()
    [[[0, 0, 255, 255], [0, 0, 255, 255]]]
    """
    grey = np.rint(np.clip(images, 0, 255)).astype(np.uint8)
    return grey.repeat(zoom, axis=1).repeat(zoom, axis=2)

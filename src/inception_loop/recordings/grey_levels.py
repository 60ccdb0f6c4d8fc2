"""Whether numbers are grey levels that a monitor shows: no z-scores, no shares of 1, no camera counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError

WHITE = 255.0
ROUNDING = 1e-3
"""How far resizing in float32 may leave 0..255."""


def check_grey_levels(images: npt.NDArray[Any], where: str) -> None:
    """Refuse images that are no grey levels 0..255.

    Parameters
    ----------
    images : (K, h, w) numbers, grey levels 0..255
        At least one pixel; whole numbers of any width, or floats of which at least one is above 1.
    where
        What the error begins with: the file, or the scan.

    Raises
    ------
    RecordingError
        Naming the first image with NaN, infinite values or values outside 0..255; or if all images hold
        floats up to 1 only, which are shares of 255.

    Examples
    --------
    >>> try:
    ...     check_grey_levels(np.array([[[0.0, 0.5]]]), "a.h5")
    ... except RecordingError as error:
    ...     print(error)
    a.h5: the images hold 0 to 0.5; expected grey levels 0..255; multiply by 255
    """
    if images.dtype == np.uint8:
        return
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    lost = ~(np.isfinite(low) & np.isfinite(high))
    if lost.any():
        raise RecordingError(
            f"{where}: image {int(lost.argmax())} holds NaN or infinite grey levels; expected finite ones"
        )
    outside = (low < -ROUNDING) | (high > WHITE + ROUNDING)
    if outside.any():
        row = int(outside.argmax())
        raise RecordingError(
            f"{where}: image {row} holds {low[row]:g} to {high[row]:g}; "
            "expected grey levels 0..255, as sent to the monitor"
        )
    if images.dtype.kind == "f" and high.max() <= 1:
        raise RecordingError(
            f"{where}: the images hold {low.min():g} to {high.max():g}; expected grey levels 0..255; "
            "multiply by 255"
        )

"""Pictures of any size and colour brought to grey images of the networks' size, by named rules."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.area_average import Aspect, area_average, fit_aspect, framing
from inception_loop.errors import DataError

Grey = Literal["bt709", "bt601", "mean"]
GREY_WEIGHTS: dict[Grey, tuple[float, float, float]] = {
    "bt709": (0.2125, 0.7154, 0.0721),
    "bt601": (0.299, 0.587, 0.114),
    "mean": (1 / 3, 1 / 3, 1 / 3),
}
Floats = npt.NDArray[np.float32]


class Fit(Config):
    """How a picture becomes images of the networks' size."""

    height: int = Field(36, ge=1, description="Rows of the images, px.")
    width: int = Field(64, ge=1, description="Columns of the images, px.")
    grey: Grey = Field("bt709", description="Weights of red, green and blue in the grey level.")
    how: Literal["average", "centre", "tiles"] = Field(
        "average",
        description="average: the whole picture, averaged over equal areas; centre: one window about its "
        "centre; tiles: all windows side by side, from the top left.",
    )
    aspect: Aspect = Field(
        "refuse", description="A whole picture of another aspect ratio: refused, cut, or given borders."
    )
    border: float = Field(128.0, ge=0, le=255, description="Grey level of letterbox borders.")
    scale: int = Field(
        1, ge=1, description="Side of the square of picture px that a px of a window averages."
    )


def to_grey(pixels: npt.NDArray[np.generic], grey: Grey = "bt709") -> npt.NDArray[np.generic]:
    """Return the grey levels of a picture: itself, or the weighted sum of its colours as encoded.

    Parameters
    ----------
    pixels : (h, w) or (h, w, 3)
        Grey levels 0..255.
    grey
        ``bt709``, ``bt601``: luma of those standards; ``mean``: the three alike.

    Returns
    -------
    (h, w): as given, or float32 for colours

    Examples
    --------
    >>> red = np.array([[[255, 0, 0]]], np.uint8)
    >>> to_grey(red, "mean").tolist(), to_grey(red[..., 0]).tolist()
    ([[85.0]], [[255]])
    """
    if pixels.ndim == 2:
        return pixels
    weighted: npt.NDArray[np.generic] = (pixels @ np.array(GREY_WEIGHTS[grey])).astype(np.float32)
    return weighted


def fitted(pixels: npt.NDArray[np.generic], fit: Fit) -> Floats:
    """Make grey images of the networks' size of one picture.

    Parameters
    ----------
    pixels : (h, w) or (h, w, 3)
        Grey levels 0..255.
    fit
        The rules.

    Returns
    -------
    (n, height, width) float32, grey levels; n is 1 except for tiles

    Raises
    ------
    DataError
        If the picture is smaller than an image, or has another aspect ratio and that is refused.

    Examples
    --------
    >>> picture = np.arange(4 * 9, dtype=np.uint8).reshape(4, 9)
    >>> fitted(picture, Fit(height=2, width=2, how="tiles", scale=2)).mean((1, 2)).tolist()
    [15.0, 19.0]
    """
    picture = to_grey(pixels, fit.grey)
    high, wide = fit.height, fit.width
    if fit.how == "average":
        return _whole(picture, fit)
    rows, cols = high * fit.scale, wide * fit.scale
    _refuse_small(picture, rows, cols, f" for windows of {high}×{wide} at scale {fit.scale}")
    if fit.how == "centre":
        top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - cols) // 2
        windows = picture[None, top : top + rows, left : left + cols]
    else:
        down, across = picture.shape[0] // rows, picture.shape[1] // cols
        cut = picture[: down * rows, : across * cols].reshape(down, rows, across, cols)
        windows = cut.swapaxes(1, 2).reshape(-1, rows, cols)
    return area_average(windows, high, wide)


def _whole(picture: npt.NDArray[np.generic], fit: Fit) -> Floats:
    shape = picture.shape[0], picture.shape[1]
    try:
        framing(shape, fit.height, fit.width, fit.aspect)
    except DataError as error:
        raise DataError(
            f"the picture has {shape[0]}×{shape[1]} px; expected the aspect ratio of "
            f"{fit.height}×{fit.width}; choose to crop, letterbox or cut windows"
        ) from error
    framed = fit_aspect(picture[None], fit.height, fit.width, fit.aspect, fit.border)
    _refuse_small(framed[0], fit.height, fit.width)
    return area_average(framed, fit.height, fit.width)


def _refuse_small(picture: npt.NDArray[np.generic], rows: int, cols: int, what: str = "") -> None:
    if picture.shape[0] < rows or picture.shape[1] < cols:
        raise DataError(
            f"the picture has {picture.shape[0]}×{picture.shape[1]} px; expected {rows}×{cols} or more{what}"
            "; leave it out or ask for smaller images"
        )

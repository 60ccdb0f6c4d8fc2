"""How close synthesised images come to what an animal with known answers prefers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from inception_loop.errors import DataError

Pictures = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]
Respond = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating]]
"""(K, H, W) grey images → (K, cells) noise-free responses of the true cells."""


def image_cosine(images: Pictures, filters: Pictures) -> Floats:
    """Return the cosine of each image, its mean removed, with the true filter of its cell.

    Parameters
    ----------
    images, filters : (U, H, W)
        Row u of both belongs to the same cell; the filters' own mean is removed too.

    Returns
    -------
    (U,) float64 in −1..1

    Raises
    ------
    DataError
        If the shapes differ, or an image or filter is flat.

    Examples
    --------
    >>> image_cosine(np.array([[[100.0, 140.0]]]), np.array([[[-1.0, 1.0]]])).round(6).tolist()
    [1.0]
    """
    if images.shape != filters.shape:
        raise DataError(
            f"images have shape {images.shape}, filters {filters.shape}; expected a filter an image"
        )
    a, b = _directions(images), _directions(filters)
    return np.asarray((a * b).sum((1, 2)))


def share_of_maximum(
    respond: Respond,
    images: Pictures,
    best: Pictures,
    columns: npt.NDArray[np.int64],
    *,
    mean: float,
    norm: float | None = None,
    low: float = 0.0,
    high: float = 255.0,
    batch_size: int = 64,
) -> Floats:
    """Return the true cell's response to its image as a share of that to its analytic best image.

    Both pictures are brought to the same mean and the same L2 norm about it, and the response to the uniform
    grey of that mean is taken off both. A cell's norm is ``norm``, lowered where need be so that no pixel of
    either picture clips.

    Parameters
    ----------
    respond
        The true cells, noise-free.
    images : (U, H, W)
        Synthesised images, grey levels.
    best : (U, H, W)
        Direction of each cell's analytic best image; its mean and length do not matter.
    columns : (U,) int64
        Column of each cell in the response.
    mean : grey levels
    norm : grey levels, optional
        L2 norm about the mean; by default each image's own.
    batch_size
        Images shown at once.

    Returns
    -------
    (U,) float64; 1 is the maximum.

    Raises
    ------
    DataError
        If an image is flat, or a cell answers to its best image no more than to grey.
    """
    a, b = _directions(images), _directions(best)
    own_length = _lengths(images) if norm is None else np.full(len(images), norm)
    free = np.minimum(_free_length(a, mean, low, high), _free_length(b, mean, low, high))
    lengths = np.minimum(own_length, free)
    own = _own_response(respond, mean + lengths[:, None, None] * a, columns, batch_size)
    top = _own_response(respond, mean + lengths[:, None, None] * b, columns, batch_size)
    grey = respond(np.full((1, *images.shape[1:]), mean, np.float32))[0].astype(np.float64)[columns]
    silent = top <= grey
    if silent.any():
        cell = int(columns[int(silent.argmax())])
        raise DataError(f"cell {cell} answers to its best image no more than to grey; expected a driven cell")
    return np.asarray((own - grey) / (top - grey))


def _own_response(
    respond: Respond, images: Pictures, columns: npt.NDArray[np.int64], batch_size: int
) -> Floats:
    out = np.empty(len(images))
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        shown = respond(images[part].astype(np.float32))
        out[part] = shown[np.arange(len(shown)), columns[part]]
    return out


def _directions(pictures: Pictures) -> Floats:
    length = _lengths(pictures)
    if (length == 0).any():
        raise DataError(f"picture {int((length == 0).argmax())} is flat; expected an image with contrast")
    centred = pictures - pictures.mean((1, 2), keepdims=True, dtype=np.float64)
    return np.asarray(centred / length[:, None, None])


def _lengths(pictures: Pictures) -> Floats:
    """(U,) L2 norm of each picture about its mean."""
    size = pictures.shape[1] * pictures.shape[2]
    return np.asarray(pictures.std((1, 2), dtype=np.float64) * np.sqrt(size))


def _free_length(directions: Floats, mean: float, low: float, high: float) -> Floats:
    """(U,) largest length along each direction from the mean at which no pixel leaves the range."""
    up, down = directions.max((1, 2)), -directions.min((1, 2))
    return np.asarray(np.minimum((high - mean) / up, (mean - low) / down))

"""Where the masks of an NWB file lie in their field."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from inception_loop.recordings.nwb.file import NwbFile

_BLOCK_BYTES = 64 * 2**20

Centroids = tuple[
    npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], tuple[float, float]
]


def centroids(nwb: NwbFile, table: h5py.Group) -> Centroids:
    """Return the weighted mean column, row and slice of every mask, and (height, width) of the field, px."""
    nan = np.full(nwb.height(table), np.nan)
    for name in ("pixel_mask", "voxel_mask"):
        if nwb.dataset(table, name) is not None:
            x, y, z = _of_pixels(nwb, table, name)
            return x, y, z, (float("nan"), float("nan"))
    images = nwb.dataset(table, "image_mask")
    if images is None:
        return nan, nan, nan, (float("nan"), float("nan"))
    if images.ndim != 3 or images.shape[0] != len(nan) or images.dtype.kind not in "biuf":
        raise nwb.refused(
            f"{images.name} has shape {images.shape}; expected ({len(nan)} rois, height, width) of numbers"
        )
    x, y = _of_images(nwb.whole(images))
    return x, y, nan, (float(images.shape[1]), float(images.shape[2]))


def _of_pixels(nwb: NwbFile, table: h5py.Group, name: str) -> list[npt.NDArray[np.float64]]:
    flat, index = nwb.dataset(table, name), nwb.dataset(table, f"{name}_index")
    axes = ("x", "y", "z") if name == "voxel_mask" else ("x", "y")
    if flat is None or index is None or not set(axes) <= set(flat.dtype.names or ()):
        raise nwb.refused(
            f"{table.name}/{name} is no list of pixels a roi; expected {', '.join(axes)} and weight"
        )
    pixels, ends = nwb.array(flat), nwb.array(index).astype(np.int64)
    lengths = np.diff(ends, prepend=0)
    if len(ends) != nwb.height(table) or (lengths < 0).any() or (len(ends) and ends[-1] > len(pixels)):
        raise nwb.refused(
            f"{index.name} does not fit its {len(pixels)} pixels; expected the rising ends of the rois"
        )
    pixels = pixels[: lengths.sum()]
    owner = np.repeat(np.arange(len(ends)), lengths)
    weight = _weights(pixels["weight"] if "weight" in (pixels.dtype.names or ()) else np.ones(len(pixels)))
    total = np.bincount(owner, weight, len(ends))
    weight = np.where(total[owner] > 0, weight, 1.0)  # a mask without weights counts its pixels alike
    total = np.bincount(owner, weight, len(ends))
    with np.errstate(invalid="ignore"):
        means = [np.bincount(owner, weight * pixels[axis], len(ends)) / total for axis in axes]
    return [*means, *[np.full(len(ends), np.nan)] * (3 - len(axes))]


def _of_images(images: h5py.Dataset) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    height, width = images.shape[1:]
    step = max(1, _BLOCK_BYTES // (8 * max(1, height * width)))
    x, y = [], []
    for first in range(0, images.shape[0], step):
        weight = _weights(images[first : first + step])
        with np.errstate(invalid="ignore"):
            total = weight.sum(axis=(1, 2))
            x.append(weight.sum(axis=1) @ np.arange(width) / total)
            y.append(weight.sum(axis=2) @ np.arange(height) / total)
    return np.concatenate([*x, np.empty(0)]), np.concatenate([*y, np.empty(0)])


def _weights(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    weights = values.astype(np.float64)
    return np.where(np.isfinite(weights) & (weights > 0), weights, 0.0)

"""The pieces that masks are made of: outlines, hulls, soft edges, each image for itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from skimage.measure import label
from skimage.morphology import convex_hull_image
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from inception_loop.errors import Refusal, RefusedUnitsError
from inception_loop.images.ascent.smoothing import gaussian_blur
from inception_loop.images.contrast import FLAT

Bools = npt.NDArray[np.bool_]


def deviation(images: Tensor) -> Tensor:
    """Return (U, H, W) float64: how far each pixel is from the mean of its image; rounding counts as 0."""
    d = images.double()
    d = (d - d.mean((1, 2), keepdim=True)).abs()
    return torch.where(d > FLAT, d, 0.0)


def without_small_blobs(outlines: Bools, min_px: int) -> Bools:
    """Remove the connected parts (over edges, not corners) of (U, H, W) outlines with fewer pixels.

    Examples
    --------
    >>> outline = np.array([[[True, True, False, True]]])
    >>> without_small_blobs(outline, 2).tolist()
    [[[True, True, False, False]]]
    """
    kept = np.zeros_like(outlines)
    for row, outline in enumerate(outlines):
        parts = label(outline, connectivity=1)  # type: ignore[no-untyped-call]
        large = np.bincount(parts.ravel()) >= min_px
        large[0] = False  # the background
        kept[row] = large[parts]
    return kept


def convex_hulls(outlines: Bools, names: Sequence[str]) -> Bools:
    """Return the (U, H, W) smallest convex shapes that hold every pixel of each outline.

    Parameters
    ----------
    outlines : (U, H, W) bool
    names
        What each unit is called.

    Raises
    ------
    DataError
        If an outline holds no pixel: a mask that covers nothing.

    Examples
    --------
    >>> corner = np.zeros((1, 4, 4), bool)
    >>> corner[0, 0, :3] = corner[0, :3, 0] = True
    >>> convex_hulls(corner, ["a"])[0].sum()
    np.int64(6)
    """
    refuse_empty(torch.from_numpy(outlines), names)
    return np.stack([_hull(outline) for outline in outlines])


def _hull(outline: Bools) -> Bools:
    hull: Bools = convex_hull_image(outline)  # type: ignore[no-untyped-call]
    return hull


def refuse_empty(masks: Tensor, names: Sequence[str]) -> None:
    """Refuse (U, H, W) masks of which one covers nothing.

    Raises
    ------
    RefusedUnitsError
        Naming them.
    """
    empty = [name for name, any_px in zip(names, masks.flatten(1).any(1).tolist(), strict=True) if not any_px]
    if empty:
        what = "the mask covers nothing, for no pixel of the picture stands out enough"
        expected = "expected a picture with a place that matters; leave them out or lower the threshold"
        raise RefusedUnitsError(Refusal(what, dict.fromkeys(empty, ""), expected))


def eroded(hulls: Tensor) -> Tensor:
    """Take a pixel off (U, H, W) bool shapes all around (3×3 erosion); the border of the screen counts too.

    Examples
    --------
    >>> eroded(torch.ones(1, 3, 4, dtype=torch.bool)).int().tolist()
    [[[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]]
    """
    outside = pad((~hulls).float()[:, None], (1, 1, 1, 1), value=1.0)
    return max_pool2d(outside, 3, stride=1)[:, 0] == 0


def softened(shapes: Tensor, sigma: float) -> Tensor:
    """Return (U, H, W) float32 masks in 0..1: shapes with a Gaussian-blurred edge of ``sigma`` px."""
    return gaussian_blur(shapes.double(), sigma).clamp(0, 1).float()


def masked(images: Tensor, masks: Tensor) -> Tensor:
    """Show (U, H, W) images through masks, the rest at each image's own mean: ``m·x + (1 − m)·mean``.

    Examples
    --------
    >>> masked(torch.tensor([[[0.0, 10.0]]]), torch.tensor([[[1.0, 0.5]]])).tolist()
    [[[0.0, 7.5]]]
    """
    mean = images.mean((1, 2), keepdim=True)
    return mean + masks * (images - mean)

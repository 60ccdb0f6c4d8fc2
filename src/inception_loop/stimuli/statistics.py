"""Whether images keep the mean and contrast that they are meant to share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import DataError


def misses(
    images: npt.NDArray[np.uint8], labels: Sequence[str], *, mean: float, contrast: float, tolerance: float
) -> pl.DataFrame:
    """List the images whose mean or RMS contrast misses the target by more than the tolerance.

    Parameters
    ----------
    images : (K, h, w) uint8
        As they would be shown.
    labels
        What each image is called in the list.
    mean, contrast : grey levels
    tolerance
        Share of the target, e.g. 0.05.

    Returns
    -------
    Table ``image`` (label), ``what`` (mean or contrast), ``got``, ``wanted`` grey levels, ``off`` (relative)

    Examples
    --------
    >>> shown = np.array([[[90, 110]], [[80, 120]]], np.uint8)
    >>> misses(shown, ["a", "b"], mean=100.0, contrast=10.0, tolerance=0.05).rows()
    [('b', 'contrast', 20.0, 10.0, 1.0)]
    """
    rows = []
    measured = (
        ("mean", images.mean((1, 2), dtype=np.float64), mean),
        ("contrast", images.std((1, 2), dtype=np.float64), contrast),
    )
    for what, got, wanted in measured:
        off = got / wanted - 1
        rows += [
            (labels[int(k)], what, float(got[k]), float(wanted), float(off[k]))
            for k in np.flatnonzero(np.abs(off) > tolerance)
        ]
    schema = {
        "image": pl.String,
        "what": pl.String,
        "got": pl.Float64,
        "wanted": pl.Float64,
        "off": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").sort("image", "what")


def refuse_misses(found: pl.DataFrame, n_images: int, tolerance: float) -> None:
    """Refuse a stimulus set that would show images off target; all or nothing.

    Raises
    ------
    DataError
        Naming the worst image.
    """
    if found.height == 0:
        return
    worst = found.sort(pl.col("off").abs(), descending=True).row(0, named=True)
    raise DataError(
        f"{found['image'].n_unique()} of {n_images} images miss the target by more than {tolerance:.0%}, "
        f"worst {worst['image']} with {worst['what']} {worst['got']:.2f} instead of {worst['wanted']:.2f} "
        "grey levels; expected none; match the images to the target or choose another target"
    )

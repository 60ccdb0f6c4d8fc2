"""The source scan's oracle images: what both days of a loop have seen, so that cells can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import DataError

ENOUGH_REPEATS = 5
"""Presentations that an oracle image needs on either day."""


@dataclass(frozen=True)
class OracleImages:
    """Images that a scan showed several times.

    Attributes
    ----------
    conditions : table ``condition_hash, image_class, image_id, source_id``, row k for image k
    images : (K, h, w) uint8, as they were sent to the monitor
    """

    conditions: pl.DataFrame
    images: npt.NDArray[np.uint8]


def oracle_images(
    conditions: pl.DataFrame,
    trials: pl.DataFrame,
    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    *,
    min_repeats: int = ENOUGH_REPEATS,
    classes: Sequence[str] = ("imagenet", "natural"),
    at_most: int | None = None,
) -> OracleImages:
    """Pick the natural images that a scan showed at least ``min_repeats`` times.

    Parameters
    ----------
    conditions, trials, images
        Of a `Recording`; leave excluded trials out of ``trials``. Grey levels of a source that resized its
        images are rounded, as a monitor takes them.
    min_repeats
        Presentations needed.
    classes
        Image classes that count as natural.
    at_most
        Keep the most repeated ones only; of equals those of the lower ``image_id``.

    Raises
    ------
    DataError
        If no image was shown so often.

    Examples
    --------
    >>> conditions = pl.DataFrame({"condition_hash": ["a", "b"], "image_class": "natural", "image_id": [0, 1],
    ...                            "source_id": "photo", "image_row": [0, 1]})
    >>> trials = pl.DataFrame({"condition_hash": ["b", "a", "b"]})
    >>> found = oracle_images(conditions, trials, np.zeros((2, 2, 4), np.uint8), min_repeats=2)
    >>> found.conditions["image_id"].to_list()
    [1]
    """
    repeats = trials.group_by("condition_hash").len("n_repeats")
    shown = conditions.join(repeats, on="condition_hash").filter(
        pl.col("n_repeats") >= min_repeats, pl.col("image_class").is_in(list(classes))
    )
    if shown.height == 0:
        raise DataError(
            f"no natural image of the source scan was shown {min_repeats} times or more; expected its oracle "
            "images; lower min_oracle_repeats or record repeats"
        )
    by_repeats = shown.sort("n_repeats", "image_class", "image_id", descending=[True, False, False])
    kept = by_repeats.head(shown.height if at_most is None else at_most).sort("image_class", "image_id")
    columns = ["condition_hash", "image_class", pl.col("image_id").cast(pl.Int64), "source_id"]
    picked = np.rint(images[kept["image_row"].to_numpy()]).clip(0, 255).astype(np.uint8)
    return OracleImages(kept.select(columns), picked)


def too_few(n_images: int, repeats: int) -> str:
    """Say in words that a session shows its oracle images too rarely; empty if it does not.

    Examples
    --------
    >>> too_few(6, 5), too_few(6, 3).partition(":")[0]
    ('', 'the 6 oracle images of the source scan are shown 3 times')
    """
    needed = "cells of two days are matched and compared by their responses to them"
    if n_images == 0:
        return f"no oracle image of the source scan is shown: {needed}"
    if repeats >= ENOUGH_REPEATS:
        return ""
    times = "once" if repeats == 1 else f"{repeats} times"
    what = f"the {n_images} oracle images" if n_images > 1 else "the one oracle image"
    verb = "are" if n_images > 1 else "is"
    return f"{what} of the source scan {verb} shown {times}: {needed}, which takes {ENOUGH_REPEATS} or more"

"""Which image each trial showed: trials and conditions from what a lab wrote about them."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import CONDITION_COLUMNS, TRIAL_COLUMNS

_FLIPS = ("clear_flip", "onset_flip", "offset_flip")
_ABOUT_AN_IMAGE = ("image_class", "image_id", "source_id", "tier")

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


def presented(
    trials: pl.DataFrame,
    conditions: pl.DataFrame | None,
    images: Images,
    options: ReadOptions,
    where: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Complete the trials and conditions of a lab.

    A trial names its condition by ``condition_hash``, or its image by ``image_row``. Where the conditions
    have no hash, it is taken from the image's pixels and the time it was shown (the median of offset − onset
    to 10 ms, else ``options.shown_s``): trials that showed the same pixels showed the same condition. An
    image without a number gets one from its pixels, the same in every scan.

    Parameters
    ----------
    trials
        Any columns of `columns.TABLES`, at least ``condition_hash`` or ``image_row``.
    conditions
        Any columns, one row a condition; without ``image_row`` one row an image; None: nothing is said.
    images : (K, h, w)
    options
    where
        What the file is called in an error.

    Returns
    -------
    The tables ``trials`` and ``conditions`` of a `Recording`.

    Raises
    ------
    RecordingError
        If they contradict each other or the images.
    """
    if ("condition_hash" in trials.columns) == ("image_row" in trials.columns):
        raise RecordingError(
            f"{where}: trials have the columns {', '.join(trials.columns)}; expected condition_hash "
            "or image_row, and not both, to say what each trial showed"
        )
    if "trial_idx" not in trials.columns:
        trials = trials.with_columns(trial_idx=pl.int_range(pl.len(), dtype=pl.Int64))
    if conditions is None:
        conditions = pl.DataFrame({"image_row": np.arange(len(images), dtype=np.int64)})
    conditions = _with_image_rows(conditions, len(images), where)
    if "condition_hash" not in conditions.columns:
        trials, conditions = _hashed(trials, conditions, images, options, where)
    elif "image_row" in trials.columns:
        trials = _linked(trials, conditions, where)
    nan = [pl.lit(float("nan")).alias(name) for name in _FLIPS if name not in trials.columns]
    return trials.with_columns(nan).select(TRIAL_COLUMNS), _completed(conditions, images, options)


def _with_image_rows(conditions: pl.DataFrame, n_images: int, where: str) -> pl.DataFrame:
    if "image_row" not in conditions.columns:
        if conditions.height != n_images:
            raise RecordingError(
                f"{where}: {conditions.height} conditions but {n_images} images; expected one row an image, "
                "or a column image_row"
            )
        return conditions.with_columns(image_row=pl.int_range(pl.len(), dtype=pl.Int64))
    outside = conditions.filter((pl.col("image_row") < 0) | (pl.col("image_row") >= n_images))
    if outside.height:
        raise RecordingError(
            f"{where}: conditions.image_row holds {outside['image_row'][0]} but there are {n_images} images; "
            f"expected 0..{n_images - 1}"
        )
    return conditions


def _linked(trials: pl.DataFrame, conditions: pl.DataFrame, where: str) -> pl.DataFrame:
    """Give trials that name an image the hash of its condition."""
    twice = conditions["image_row"].is_duplicated()
    if twice.any():
        raise RecordingError(
            f"{where}: image_row {conditions['image_row'].filter(twice)[0]} stands twice in conditions, so "
            "that image_row does not tell a trial's condition; expected it once; give trials condition_hash"
        )
    linked = trials.join(
        conditions.select("image_row", "condition_hash"), on="image_row", how="left", maintain_order="left"
    )
    lost = linked.filter(pl.col("condition_hash").is_null())
    if lost.height:
        raise RecordingError(
            f"{where}: trial {lost['trial_idx'][0]} showed image_row {lost['image_row'][0]}, which no "
            "condition has; expected a row of the images"
        )
    return linked.drop("image_row")


def _hashed(
    trials: pl.DataFrame, conditions: pl.DataFrame, images: Images, options: ReadOptions, where: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make one condition of all rows that show the same pixels; leave out images that no trial showed."""
    if "image_row" not in trials.columns:
        raise RecordingError(
            f"{where}: trials name a condition_hash but conditions have none; expected it in both, "
            "or image_row in trials"
        )
    shown = set(trials["image_row"].to_list())
    conditions = conditions.filter(pl.col("image_row").is_in(shown))
    shown_s = _shown_s(trials, options)
    hashes = [condition_hash(images[row], shown_s) for row in conditions["image_row"]]
    conditions = conditions.with_columns(condition_hash=pl.Series(hashes, dtype=pl.String))
    trials = _linked(trials, conditions, where)
    said = [column for column in _ABOUT_AN_IMAGE if column in conditions.columns]
    _refuse_contradictions(conditions, ["condition_hash"], said, "show the same pixels", where)
    if "image_id" in said:
        identity = [column for column in said if column in ("image_class", "image_id")]
        _refuse_contradictions(conditions, identity, ["condition_hash"], "have the same image_id", where)
    return trials, conditions.unique("condition_hash", keep="first", maintain_order=True)


def _shown_s(trials: pl.DataFrame, options: ReadOptions) -> float:
    """Return how long images are on: the jitter of flips must not make two conditions of one image."""
    if {"onset_flip", "offset_flip"} <= set(trials.columns):
        on = (trials["offset_flip"] - trials["onset_flip"]).drop_nans()
        if on.len():
            return round(float(np.median(on.to_numpy())), 2)
    return options.shown_s


def _refuse_contradictions(
    conditions: pl.DataFrame, same: list[str], columns: list[str], alike: str, where: str
) -> None:
    for column in columns:
        rows = conditions.filter(pl.col(column).n_unique().over(same) > 1)
        if rows.height:
            twins = rows.join(rows.head(1), on=same, how="semi")
            other = twins.filter(pl.col(column).ne_missing(twins[column][0])).head(1)
            raise RecordingError(
                f"{where}: images {twins['image_row'][0]} and {other['image_row'][0]} {alike} but differ in "
                f"{'their pixels' if column == 'condition_hash' else column} "
                f"({twins[column][0]}, {other[column][0]}); expected the same of both"
            )


def _completed(conditions: pl.DataFrame, images: Images, options: ReadOptions) -> pl.DataFrame:
    given = set(conditions.columns)
    image_class, source_id = (
        pl.col(name).replace("", None) if name in given else pl.lit(None, pl.String)
        for name in ("image_class", "source_id")
    )
    conditions = conditions.with_columns(
        image_class=image_class.fill_null(options.image_class), source_id=source_id.fill_null("")
    )
    if "image_id" not in given:
        ids = [_image_id(images[row]) for row in conditions["image_row"]]
        conditions = conditions.with_columns(image_id=pl.Series(ids, dtype=pl.Int64))
    if "tier" in given:
        conditions = conditions.with_columns(pl.col("tier").replace("", None))
    return conditions.select(*CONDITION_COLUMNS, *(["tier"] if "tier" in given else []))


def _image_id(image: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> int:
    """Return the number of an image without one: of its pixels, so that it is the same in every scan."""
    little = np.ascontiguousarray(image, image.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{little.dtype.name} {image.shape}\n".encode() + little.tobytes()).digest()
    return int.from_bytes(digest[:6], "big")

"""A session out of filled images, the source scan's oracle images and a blank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from inception_loop.errors import DataError
from inception_loop.stimuli.conditions import BLANK, Arrangement, arrange
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.oracle import OracleImages
from inception_loop.stimuli.pixels import Bytes, Pixels

ORACLE = "oracle"
SOURCE_SCAN, THE_BLANK = "the source scan", "the blank"
KEPT = (
    "image_class",
    "model_type",
    "source_id",
    "shift_x",
    "shift_y",
    "mean",
    "contrast",
    "reference_activation",
    "validator_activation",
    "target",
    "target_mean",
    "target_contrast",
    "fill",
    "luminance_mean",
    "luminance_contrast",
    "target_grey",
)
"""Columns of fills that conditions have too."""


class Session(NamedTuple):
    """What a rig shows: a row of ``arrangement.conditions`` for each image of ``pixels``.

    Attributes
    ----------
    arrangement
        Conditions and trials.
    pixels
        Where each image lies; ``pixels.blocks(arrangement.first)`` are the images of the set.
    """

    arrangement: Arrangement
    pixels: Pixels


def arrange_session(
    made: pl.DataFrame,
    holders: Mapping[str, Bytes],
    oracle: OracleImages | None,
    config: StimulusConfig,
    used: pl.DataFrame | None = None,
) -> Session:
    """Make the session of filled images.

    Parameters
    ----------
    made
        Rows of fills, see the kind ``stimulus_fill``; ``fill`` (its type), and for each image ``holder`` and
        ``image_row``: which array holds it, in which row.
    holders : arrays (K, h, w) uint8, by name
        As they are sent to the monitor.
    oracle
        Images that the source scan showed repeatedly, shown again byte for byte.
    config
        Repeats, blanks, timing, seed.
    used
        See `arrange`.

    Raises
    ------
    DataError
        If images have several sizes, or fills several means while a blank is to be shown.
    """
    names, parts = sorted(holders), {name: holders[name] for name in sorted(holders)}
    numbers = pl.Series(np.arange(len(names)), dtype=pl.Int64)
    part = made["holder"].replace_strict(names, numbers, return_dtype=pl.Int64).to_numpy()
    pieces = [(_made_rows(made), part, made["image_row"].to_numpy())]
    if oracle is not None:
        pieces.append(
            (_oracle_rows(oracle), np.full(len(oracle.images), len(parts)), np.arange(len(oracle.images)))
        )
        parts[SOURCE_SCAN] = oracle.images
    if config.blanks:
        size = parts[names[0]].shape[1:]
        blank = np.full((1, *size), _blank_level(made), np.uint8)
        pieces.append((_blank_row(blank), np.array([len(parts)]), np.array([0])))
        parts[THE_BLANK] = blank
    pixels = Pixels(parts, *(np.concatenate([piece[k] for piece in pieces]) for k in (1, 2)))
    rows = pl.concat([piece[0] for piece in pieces], how="diagonal")
    hashes = pl.Series(pixels.hashes(config.shown_s), dtype=pl.String)
    # The source scan's images keep the hash under which it lists them.
    rows = rows.with_columns(condition_hash=pl.coalesce("condition_hash", hashes))
    return Session(arrange(rows, config, used), pixels)


def _made_rows(made: pl.DataFrame) -> pl.DataFrame:
    return made.select(
        *KEPT,
        source_name="name",
        source_neuron_id="neuron_id",
        source_unit_id="unit_id",
        condition_hash=pl.lit(None, pl.String),
        image_id=pl.lit(None, pl.Int64),
    )


def _oracle_rows(oracle: OracleImages) -> pl.DataFrame:
    return oracle.conditions.with_columns(model_type=pl.lit(ORACLE), **_still(oracle.images))


def _blank_row(blank: Bytes) -> pl.DataFrame:
    row = pl.DataFrame({"image_class": [BLANK], "model_type": [BLANK], "source_id": [BLANK]})
    return row.with_columns(**_still(blank))


def _still(images: Bytes) -> dict[str, pl.Series | pl.Expr]:
    return {
        "shift_x": pl.lit(0, pl.Int64),
        "shift_y": pl.lit(0, pl.Int64),
        "mean": pl.Series(images.mean((1, 2), dtype=np.float64)),
        "contrast": pl.Series(images.std((1, 2), dtype=np.float64)),
    }


def _blank_level(made: pl.DataFrame) -> int:
    levels = sorted({round(level) for level in made["target_grey"]})
    if len(levels) > 1:
        raise DataError(
            f"the fills have target means of grey level {' and '.join(map(str, levels))}; expected one, that "
            "of the blank; process all images for one mean, or show no blanks"
        )
    return int(levels[0])

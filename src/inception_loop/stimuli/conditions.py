"""The conditions of a session: whose image each is, its number in its class, and when it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import DataError
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.order import blocked_order

BLANK = "blank"
NUMBERED = {
    "image_class": pl.String,
    "image_id": pl.Int64,
    "condition_hash": pl.String,
}
"""What an earlier stimulus set tells of the numbers that it gave."""


@dataclass(frozen=True)
class Arrangement:
    """A session without its pixels.

    Attributes
    ----------
    conditions, trials : tables as the kind ``stimulus_set`` declares them
    first : (K,) int64
        For each image of the set the first of its rows in ``conditions``.
    """

    conditions: pl.DataFrame
    trials: pl.DataFrame
    first: npt.NDArray[np.int64]


def gathered(fills: Sequence[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """Put the images of fills together; no unit gets two of one class.

    Parameters
    ----------
    fills
        What each is called in an error, and its table.

    Returns
    -------
    Their rows one below the other.

    Raises
    ------
    DataError
        If a fill, or images of one class for one unit, come twice.

    Examples
    --------
    >>> fill = pl.DataFrame({"image_class": "gabor", "name": "a", "unit_id": [1, 2]})
    >>> gathered([("one", fill.head(1)), ("two", fill.tail(1))])["unit_id"].to_list()
    [1, 2]
    """
    names = [name for name, _ in fills]
    again = [name for name in names if names.count(name) > 1]
    if again:
        raise DataError(
            f"a stimulus set filled twice: {again[0]} is given {names.count(again[0])} times; "
            "expected each fill once; leave the others out"
        )
    rows = pl.concat([table.with_columns(given=pl.lit(name)) for name, table in fills])
    key = ["image_class", "name", "unit_id"]
    owners = rows.unique([*key, "given"], maintain_order=True)
    twice = owners.filter(owners.select(key).is_duplicated())
    if twice.height:
        image_class, name, unit, one = twice.select(*key, "given").row(0)
        other = twice.filter(image_class=image_class, name=name, unit_id=unit)["given"][1]
        raise DataError(
            f"a stimulus set filled twice: unit {unit} of {name} has images of class {image_class} in {one} "
            f"and in {other}; expected them in one fill; leave the other out"
        )
    return rows.drop("given")


def arrange(rows: pl.DataFrame, config: StimulusConfig, used: pl.DataFrame | None = None) -> Arrangement:
    """Give the images of a session their numbers and their order.

    Parameters
    ----------
    rows
        One row an image and unit: ``condition_hash``, ``image_class``, ``source_id`` (null: its own source)
        and ``image_id``, null where it has no number yet; a row of class blank comes last. Further columns
        are kept.
    config
        Repeats, blanks, seed.
    used
        Columns of `NUMBERED`: images that earlier sets numbered. An image that they hold keeps its number;
        new ones are numbered on after the highest of their class.

    Returns
    -------
    Arrangement

    Notes
    -----
    Two units may have the same best natural image: then both have a row in ``conditions``, with the same
    ``condition_hash``, ``image_id`` and ``image_row``, and the image is shown once a block.
    """
    _, first, inverse = np.unique(rows["condition_hash"].to_numpy(), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    numbered = _numbered(rows.with_columns(image_row=pl.Series(rank[inverse], dtype=pl.Int64)), used)
    own = pl.format("{}-{}", "image_class", "image_id")
    conditions = numbered.with_columns(source_id=pl.coalesce("source_id", own))
    first_rows = first[order].astype(np.int64)
    return Arrangement(conditions, _trials(conditions, first_rows, config), first_rows)


def _numbered(rows: pl.DataFrame, used: pl.DataFrame | None) -> pl.DataFrame:
    known = pl.DataFrame(schema=NUMBERED) if used is None else used.select(list(NUMBERED))
    given = rows.filter(pl.col("image_id").is_not_null()).select(list(NUMBERED))
    taken = pl.concat([known, given]).group_by("image_class").agg(last=pl.col("image_id").max())
    before = known.group_by("image_class", "condition_hash").agg(before=pl.col("image_id").min())
    joined = rows.join(before, on=["image_class", "condition_hash"], how="left", maintain_order="left")
    joined = joined.join(taken, on="image_class", how="left", maintain_order="left")
    joined = joined.with_columns(image_id=pl.coalesce("image_id", "before")).with_row_index("place")
    first = pl.col("place").min().over("image_class", "condition_hash")
    new = pl.when(pl.col("image_id").is_null()).then(first)
    next_id = pl.col("last").fill_null(-1) + new.rank("dense").over("image_class").cast(pl.Int64)
    return joined.with_columns(image_id=pl.coalesce("image_id", next_id)).drop("before", "last", "place")


def _trials(conditions: pl.DataFrame, first: npt.NDArray[np.int64], config: StimulusConfig) -> pl.DataFrame:
    n, blanks = len(first), conditions.filter(image_class=BLANK)["image_row"]
    order = blocked_order(n, config.repeats, config.seed, last_times=config.blanks if blanks.len() else 1)
    image = np.arange(n)
    if blanks.len():  # it is the last image, unless the source scan showed one of the same bytes
        image[[blanks[0], n - 1]] = n - 1, blanks[0]
    row = first[image[order.image]]
    return pl.DataFrame(
        {
            "position": np.arange(len(row)),
            "block": order.block,
            "condition_row": row,
            "condition_hash": conditions["condition_hash"].to_numpy()[row],
        }
    )

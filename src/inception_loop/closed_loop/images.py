"""Which condition shows which unit's image: the part of a stimulus set that the confusion tables need."""

from __future__ import annotations

import polars as pl

from inception_loop.errors import DataError

IMAGE_COLUMNS = ("condition_hash", "model_type", "source_unit_id")
NO_UNIT = ("oracle", "blank")
"""Model types of conditions that were made for no unit."""


def shown_images(conditions: pl.DataFrame, source_name: str | None = None) -> pl.DataFrame:
    """Return the unshifted images that were made (or chosen) for a unit.

    Parameters
    ----------
    conditions
        Rows of a stimulus set: ``condition_hash``, ``model_type``, ``source_unit_id`` (null or negative
        where made for no unit) and, where the set holds shifted copies, ``shift_x``, ``shift_y`` in px.
        One picture may stand in several rows (the best natural image of two units).
    source_name
        Member of the group whose units count, where the set holds images for units of several members.

    Returns
    -------
    Table ``condition_hash`` str, ``model_type`` str, ``image_unit_id`` i64, without repetitions, sorted.

    Raises
    ------
    DataError
        If a column is missing, no image was made for a unit, or units of several members have images and no
        member is named: units of two scans may have the same number.

    Examples
    --------
    >>> shown_images(pl.DataFrame({
    ...     "condition_hash": ["a", "b"], "model_type": ["cnn", "blank"], "source_unit_id": [7, None]
    ... })).rows()
    [('a', 'cnn', 7)]
    """
    missing = [name for name in IMAGE_COLUMNS if name not in conditions.columns]
    if missing:
        raise DataError(
            f"the stimulus set lacks the columns {missing}; expected {list(IMAGE_COLUMNS)}, "
            "as the stimulus stage writes them"
        )
    shifts = [pl.col(name).fill_null(0) == 0 for name in ("shift_x", "shift_y") if name in conditions.columns]
    made = conditions.filter(
        ~pl.col("model_type").is_in(NO_UNIT), pl.col("source_unit_id").fill_null(-1) >= 0, *shifts
    )
    if "source_name" in made.columns:
        made = _of_member(made, source_name)
    if made.height == 0:
        raise DataError(
            "the stimulus set holds no unshifted image made for a unit; expected at least one MEI; "
            "check which images went into it"
        )
    columns = ["condition_hash", "model_type", pl.col("source_unit_id").cast(pl.Int64).alias("image_unit_id")]
    return made.select(columns).unique().sort("model_type", "image_unit_id", "condition_hash")


def _of_member(made: pl.DataFrame, source_name: str | None) -> pl.DataFrame:
    names = made["source_name"].drop_nulls().unique().sort().to_list()
    if source_name is None and len(names) > 1:
        raise DataError(
            f"the stimulus set holds images for units of {len(names)} scans ({', '.join(names)}); expected "
            "those of one source scan; say with source_name which the loop is about"
        )
    return made if source_name is None else made.filter(pl.col("source_name") == source_name)


def of_source(table: pl.DataFrame, source_name: str | None) -> pl.DataFrame:
    """Return the rows of one member of a group, of a table that names the member; all if none is asked.

    Examples
    --------
    >>> of_source(pl.DataFrame({"name": ["a", "b"], "unit_id": [1, 2]}), "b")["unit_id"].to_list()
    [2]
    """
    return table if source_name is None else table.filter(pl.col("name") == source_name)


def check_shown(shown: pl.DataFrame, conditions: pl.DataFrame, where: str) -> None:
    """Refuse a scan that showed something that its stimulus set does not list.

    Parameters
    ----------
    shown
        Rows with ``trial_idx`` and ``condition_hash``; those with a ``status`` have no response, so that it
        does not matter what they show.
    conditions
        Rows of the stimulus set with ``condition_hash``.
    where
        What the scan is called in the error.

    Raises
    ------
    DataError
        Naming the first such trial.
    """
    if "status" in shown.columns:
        shown = shown.filter(status="")
    strays = shown.join(conditions, on="condition_hash", how="anti").sort("trial_idx")
    if strays.height:
        trial, condition = strays.select("trial_idx", "condition_hash").row(0)
        raise DataError(
            f"{where}: {strays.height} trials show conditions that the stimulus set does not list, "
            f"first trial {trial} with {condition!r}; expected conditions of the set only; "
            "give the set that the rig has shown"
        )

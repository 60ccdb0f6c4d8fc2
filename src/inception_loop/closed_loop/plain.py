"""Responses as a lab has them, in data frames or arrays, brought into one table of trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import ConfigurationError, DataError

Floats = npt.NDArray[np.float64]
Incomplete = Literal["refuse", "leave_out"]

IMAGES = ("own", "control")
OPTIONAL = ("image_unit", "animal", "scan")
FORMS = (
    "expected a table of trials, or the arrays own and control, or a confusion matrix (which may stand "
    "beside the arrays)"
)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a question for the name that is spelt most alike; empty if none is.

    Examples
    --------
    >>> did_you_mean("unit", ["units", "image"])
    "; did you mean 'units'?"
    """
    near = get_close_matches(word, list(choices), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def frame_of(value: Any, what: str) -> pl.DataFrame:
    """Return any data frame (Polars, pandas, Arrow, a mapping of columns) as one of Polars.

    Parameters
    ----------
    value
        Anything that speaks Arrow's stream interface, has ``to_dict("list")``, or maps names to columns.
    what
        What it is, for the error.

    Raises
    ------
    DataError
        If it is no data frame.

    Examples
    --------
    >>> frame_of({"unit": [1, 2]}, "trials").shape
    (2, 1)
    """
    try:
        if isinstance(value, pl.DataFrame):
            return value
        if isinstance(value, pl.LazyFrame):
            return value.collect()
        if isinstance(value, Mapping):
            return pl.DataFrame(dict(value))
        if hasattr(value, "__arrow_c_stream__"):
            return pl.DataFrame(value)
        if hasattr(value, "to_dict"):
            return pl.DataFrame(value.to_dict("list"))
    except Exception as error:  # whatever a foreign frame raises
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"the {what} cannot be read as a data frame: {first}; check its columns") from error
    raise DataError(
        f"the {what} are {type(value).__name__}; expected a data frame (Polars, pandas, Arrow) or a "
        "mapping of columns"
    )


def trials_of_table(
    trials: Any,
    names: Mapping[str, str | Sequence[str] | None],
    labels: tuple[str, str],
    incomplete: Incomplete = "refuse",
) -> tuple[pl.DataFrame, list[str]]:
    """Return a lab's table of trials with columns ``animal, unit, scan, image, image_unit, response``.

    Notes say what was left out.

    Parameters
    ----------
    trials
        Any data frame.
    names
        Role → column (for ``scan`` one or several); None: a column of the role's name, if there is one.
    labels
        What the image column calls own and control image.
    incomplete
        Whether trials whose response is null or NaN are refused or left out.

    Raises
    ------
    ConfigurationError
        If a column is not there.
    DataError
        If there is no trial, a response is missing or not finite, or an image is neither own nor control.

    Examples
    --------
    >>> given = {"cell": [7, 7], "image": ["mei", "rf"], "response": [1.5, 0.5]}
    >>> names = {"unit": "cell", "image": "image", "response": "response"}
    >>> trials_of_table(given, names, ("mei", "rf"))[0].rows()
    [('', 7, 0, 'own', 7, 1.5), ('', 7, 0, 'control', 7, 0.5)]
    """
    table = frame_of(_with_index(trials), "trials")
    table = table.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    found = {role: _column(table, role, names.get(role)) for role in ("unit", "image", "response", *OPTIONAL)}
    unit, image, response = (_one(found, role) for role in ("unit", "image", "response"))
    there = _named(table[response]).is_not_null()
    left = table.height - int(there.sum()) if incomplete == "leave_out" else 0
    notes = [f"left out: {left} of {table.height} trials without a response"] if left else []
    table = table.filter(there) if left else table
    shown = table[image].unique().to_list()
    strange = sorted({str(one) for one in shown if one not in labels})
    if strange:
        known = all(label in shown for label in labels)
        what = (
            "leave these trials out" if known else f"say what they are called, as labels=({strange[0]!r}, …)"
        )
        raise DataError(
            f"the column {image} holds {', '.join(map(repr, strange[:3]))}; expected {labels[0]!r} and "
            f"{labels[1]!r}; {what}"
        )
    out = table.select(
        animal=_named(table[found["animal"][0]]).cast(pl.String) if found["animal"] else pl.lit(""),
        unit=pl.col(unit),
        scan=_blocks(table, found["scan"]),
        image=pl.when(pl.col(image) == labels[0]).then(pl.lit("own")).otherwise(pl.lit("control")),
        image_unit=_made_for(table, unit, found["image_unit"]),
        response=pl.col(response).cast(pl.Float64, strict=False),
    )
    return checked(out), notes


def both_images(trials: pl.DataFrame, incomplete: Incomplete) -> tuple[pl.DataFrame, list[str]]:
    """Return the trials of units that were shown their own and their control image, and what was left out.

    Raises
    ------
    DataError
        If a unit was shown one of the two only and is not to be left out, or nothing remains.
    """
    mine = trials.filter(pl.col("unit") == pl.col("image_unit"))
    counts = (
        trials.group_by("animal", "unit", maintain_order=True)
        .agg(pl.len())
        .join(
            mine.group_by("animal", "unit").agg(
                own=(pl.col("image") == "own").sum(), control=(pl.col("image") == "control").sum()
            ),
            on=["animal", "unit"],
            how="left",
        )
        .with_columns(pl.col("own", "control").fill_null(0))
    )
    lacking = counts.filter((pl.col("own") == 0) | (pl.col("control") == 0))
    if not lacking.height:
        return trials, []
    first = lacking.row(0, named=True)
    said = (
        f"{lacking.height} of {counts.height} units were not shown both images, first unit {first['unit']} "
        f"(own {first['own']}, control {first['control']} trials)"
    )
    if incomplete == "refuse" or lacking.height == counts.height:
        raise DataError(
            f"{said}; expected trials of both; {_of_no_unit(trials)}leave such units out by "
            "incomplete='leave_out'"
        )
    return trials.join(lacking, on=["animal", "unit"], how="anti", maintain_order="left"), [
        f"left out: {said}"
    ]


def _of_no_unit(trials: pl.DataFrame) -> str:
    """Say which images were made for a number that is no unit, as of a control that all were shown."""
    made_for = trials["image_unit"].unique().sort()
    strangers = made_for.filter(~made_for.is_in(trials["unit"].unique().implode()))
    if not len(strangers):
        return ""
    return (
        f"image_unit holds {strangers[0]}, which is no unit: an image that was shown to each as its own has "
        "null there; "
    )


def unit_names(given: Sequence[Any] | None, n: int) -> list[Any]:
    """Return names of units, whole numbers if all are: 0, 1, 2, … by default."""
    if given is None:
        return list(range(n))
    whole = all(isinstance(name, (int, np.integer)) for name in given)
    return [int(name) if whole else str(name) for name in given]


def refuse_twice(names: Sequence[str]) -> None:
    """Refuse names that stand twice, with the first of them."""
    twice = sorted({name for name, count in Counter(names).items() if count > 1})
    if twice:
        raise DataError(f"{len(twice)} units are named twice, first unit {twice[0]}; expected each unit once")


def _with_index(trials: Any) -> Any:
    """Return a pandas frame with the named levels of its index as columns; others as they are."""
    levels = getattr(getattr(trials, "index", None), "names", ())
    named = [name for name in levels if name is not None and name not in trials.columns]
    return trials.reset_index(named) if named else trials


def _column(table: pl.DataFrame, role: str, name: str | Sequence[str] | None) -> list[str]:
    wanted = [role] if name is None else [name] if isinstance(name, str) else list(name)
    missing = [one for one in wanted if one not in table.columns]
    if missing and name is None and role in OPTIONAL:
        return []
    if missing:
        other = [one for one in table.columns if one not in ("unit", "image", "response", *OPTIONAL)]
        raise ConfigurationError(
            f"the trials have no column {missing[0]!r}{did_you_mean(missing[0], table.columns)}; they have "
            f"{', '.join(table.columns)}; say which column it is, as {role}={other[0] if other else '…'!r}"
        )
    return wanted


def _one(found: Mapping[str, list[str]], role: str) -> str:
    if len(found[role]) != 1:
        raise ConfigurationError(f"{role} names {len(found[role])} columns; expected one")
    return found[role][0]


def _blocks(table: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return the number of the scan of each trial, in the order of the scans' names."""
    if not columns:
        return pl.Series("scan", np.zeros(table.height, dtype=np.int64))
    scans = table.select(columns).unique().sort(columns).with_row_index("block")
    joined = table.select(columns).join(
        scans, on=columns, how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["block"].cast(pl.Int64).alias("scan")


def _made_for(table: pl.DataFrame, unit: str, columns: Sequence[str]) -> pl.Series:
    """Return the unit that the image of each trial was made for; null in the table: the unit itself."""
    if not columns:
        return table[unit].alias("image_unit")
    given = _named(table[columns[0]])
    try:
        made = given.cast(table.schema[unit])
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"the column {columns[0]} holds {given.dtype}, the column {unit} {table.schema[unit]}; expected "
            "names of units in both"
        ) from error
    return pl.select(pl.coalesce(made, table[unit]).alias("image_unit")).to_series()


def _named(column: pl.Series) -> pl.Series:
    """Return names, of which those of pandas are NaN where one is missing."""
    return column.fill_nan(None) if column.dtype.is_float() else column


def checked(trials: pl.DataFrame) -> pl.DataFrame:
    """Return the table of trials; refuse one without trials, or with one of no unit, animal or number."""
    bad = trials.filter(pl.col("response").is_null() | ~pl.col("response").is_finite())
    if bad.height:
        raise DataError(
            f"{bad.height} of {trials.height} responses are missing, NaN, infinite or no number, first of "
            f"unit {bad['unit'][0]}; expected finite numbers; leave these trials out, missing ones by "
            "incomplete='leave_out'"
        )
    if not trials.height or trials["unit"].null_count():
        lack = "no trial" if not trials.height else f"{trials['unit'].null_count()} trials of no unit"
        raise DataError(f"there is {lack}; expected trials with a unit each")
    nameless = trials.filter(pl.col("animal").is_null())
    if nameless.height:
        raise DataError(
            f"{nameless.height} of {trials.height} trials are of no animal, first of unit "
            f"{nameless['unit'][0]}; expected the animal of every trial, or of none"
        )
    return trials

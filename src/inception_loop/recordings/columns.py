"""Columns as a lab writes them, made tables of known types: what does not fit is named, nothing guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError

Values = npt.NDArray[Any] | pl.Series
Type = Literal["integer", "number", "text"]
INTEGER: Final = "integer"
NUMBER: Final = "number"
TEXT: Final = "text"


def _each(type_: Type, *columns: str) -> dict[str, Type]:
    return dict.fromkeys(columns, type_)


TABLES: dict[str, dict[str, Type]] = {
    "units": {
        "unit_id": INTEGER,
        "field": INTEGER,
        **_each(NUMBER, "px_x", "px_y", "um_x", "um_y", "um_z", "ms_delay"),
        **_each(TEXT, "mask_type", "brain_area", "layer"),
    },
    "fields": {
        "field": INTEGER,
        **_each(NUMBER, "px_height", "px_width", "um_height", "um_width", "x", "y", "z"),
    },
    "trials": {
        "trial_idx": INTEGER,
        "condition_hash": TEXT,
        "image_row": INTEGER,
        **_each(NUMBER, "clear_flip", "onset_flip", "offset_flip"),
    },
    "conditions": {
        "condition_hash": TEXT,
        "image_class": TEXT,
        "image_id": INTEGER,
        "source_id": TEXT,
        "image_row": INTEGER,
        "tier": TEXT,
    },
    "stack_coordinates": {
        **_each(INTEGER, "stack_session", "stack_idx", "field", "unit_id"),
        **_each(NUMBER, "stack_x", "stack_y", "stack_z"),
    },
    "excluded_trials": {"trial_idx": INTEGER, "reason": TEXT},
    "eye": _each(NUMBER, "time", "pupil_radius", "pupil_derivative", "center_x", "center_y"),
    "treadmill": _each(NUMBER, "time", "velocity", "speed"),
    "calibration": {"pixel_value": NUMBER, "luminance": NUMBER, "timestamp": TEXT},
}
"""Every table that a lab may hand over: column → what it holds."""

_KEYS = {
    "units": ("unit", "unit_id"),
    "fields": ("field", "field"),
    "trials": ("trial", "trial_idx"),
    "conditions": ("condition", "condition_hash"),
}
_EXACT = 2**53


def refuse_unknown(got: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse names that nobody would read: a misspelt one would lose its data without a word.

    Raises
    ------
    RecordingError
        With the first unknown name and all known ones.
    """
    known = list(known)
    unknown = sorted(set(got) - set(known))
    if unknown:
        raise RecordingError(
            f"{where} has {unknown[0]!r}, which nothing reads; expected only {', '.join(known)}; "
            "correct the name or leave it out"
        )


def table(name: str, columns: Mapping[str, Values], where: str) -> pl.DataFrame:
    """Return a table of `TABLES` with its columns in order, as far as they are given.

    Text is String (empty or null stays as it is), integers Int64, numbers Float64 with NaN for null.

    Parameters
    ----------
    name
        One of `TABLES`.
    columns
        Arrays or series of one dimension and one length.
    where
        What the file is called in an error.

    Raises
    ------
    RecordingError
        On an unknown column, other lengths, text for numbers, a fraction or an overflow for an integer, an
        infinite number: one line that names the column and the unit, trial, field or row.

    Examples
    --------
    >>> table("units", {"unit_id": np.array([4.0, 2.0]), "um_x": np.array([1, 2])}, "scan.npz").rows()
    [(4, 1.0), (2, 2.0)]
    """
    known = TABLES[name]
    refuse_unknown(columns, known, f"{where}: {name}")
    _check_lengths(name, columns, where)
    word, key = _KEYS.get(name, ("row", ""))
    done: dict[str, pl.Series] = {}

    def row(position: int) -> str:
        return f"{word} {done[key][position]}" if key in done else f"row {position}"

    for column in sorted(columns, key=lambda column: column != key):
        done[column] = typed(columns[column], known[column], f"{where}: {name}.{column}", row)
    return pl.DataFrame({column: done[column] for column in known if column in done})


def typed(values: Values, type_: Type, what: str, row: Callable[[int], str] = "row {}".format) -> pl.Series:
    """Return one column as a series of its type; see `table`.

    Raises
    ------
    RecordingError
        If a value does not fit: the line begins with ``what`` and names its row.
    """
    if values.ndim != 1 if isinstance(values, np.ndarray) else isinstance(values.dtype, (pl.List, pl.Array)):
        raise RecordingError(f"{what} has shape {values.shape}; expected one value a row")
    if type_ == TEXT:
        return _text(values, what, row)
    numbers = _numbers(values, what, row)
    return _integers(numbers, what, row) if type_ == INTEGER else _floats(numbers, what, row)


def as_float32(values: npt.NDArray[Any], what: str) -> npt.NDArray[np.float32]:
    """Return activity as float32; what does not fit becomes infinite, which no recording accepts.

    Raises
    ------
    RecordingError
        If it holds anything but real numbers.
    """
    check_real(values.dtype, what)
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32, copy=False)


def check_real(dtype: np.dtype[Any], what: str) -> None:
    """Refuse an array that holds no real numbers (text, flags, objects, complex numbers).

    Raises
    ------
    RecordingError
    """
    if dtype.kind not in "iuf":
        raise RecordingError(f"{what} holds {_called(dtype)}; expected numbers")


def _check_lengths(name: str, columns: Mapping[str, Values], where: str) -> None:
    lengths = {column: values.shape[0] for column, values in columns.items() if values.shape}
    first = next(iter(lengths), "")
    for column, length in lengths.items():
        if length != lengths[first]:
            raise RecordingError(
                f"{where}: {name}.{column} has {length} values but {name}.{first} has {lengths[first]}; "
                "expected one of each a row"
            )


def _numbers(values: Values, what: str, row: Callable[[int], str]) -> npt.NDArray[Any]:
    """Return real numbers as they are; a null is NaN."""
    if isinstance(values, np.ndarray):
        check_real(values.dtype, what)
        return values
    if values.dtype == pl.Null:
        return np.full(len(values), np.nan)
    if not values.dtype.is_numeric():
        raise RecordingError(f"{what} holds {_called(values.dtype)}; expected numbers")
    if not values.dtype.is_integer() or values.null_count():
        return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    whole = values.cast(pl.UInt64 if values.dtype == pl.UInt64 else pl.Int64, strict=False)
    if whole.null_count():
        position = int(whole.is_null().arg_max() or 0)
        raise RecordingError(_no_integer(what, row(position), values[position]))
    return whole.to_numpy()


def _integers(numbers: npt.NDArray[Any], what: str, row: Callable[[int], str]) -> pl.Series:
    with np.errstate(invalid="ignore"):
        if numbers.dtype.kind == "f":
            bad = ~((np.floor(numbers) == numbers) & (np.abs(numbers) <= _EXACT))
        else:
            bad = numbers > np.iinfo(np.int64).max
    if bad.any():
        position = int(bad.argmax())
        raise RecordingError(_no_integer(what, row(position), numbers[position]))
    return pl.Series(numbers.astype(np.int64))


def _no_integer(what: str, row: str, value: object) -> str:
    return f"{what} of {row} is {value}; expected a whole number that 64 bits hold"


def _floats(numbers: npt.NDArray[Any], what: str, row: Callable[[int], str]) -> pl.Series:
    with np.errstate(over="ignore", invalid="ignore"):
        floats = numbers.astype(np.float64)
    wild = np.isinf(floats)
    if wild.any():
        raise RecordingError(
            f"{what} of {row(int(wild.argmax()))} is infinite; expected a number, NaN if unknown"
        )
    return pl.Series(floats)


def _text(values: Values, what: str, row: Callable[[int], str]) -> pl.Series:
    if isinstance(values, pl.Series):
        if values.dtype == pl.Null or values.dtype in (pl.String, pl.Categorical, pl.Enum):
            return values.cast(pl.String)
        raise RecordingError(f"{what} holds {_called(values.dtype)}; expected text")
    if values.dtype.kind == "U":
        return pl.Series(values.tolist(), dtype=pl.String)
    if values.dtype.kind != "S":
        raise RecordingError(f"{what} holds {_called(values.dtype)}; expected text")
    texts = []
    for position, value in enumerate(values.tolist()):
        try:
            texts.append(value.decode())
        except UnicodeDecodeError as error:
            raise RecordingError(f"{what} of {row(position)} is no UTF-8 text; write it as UTF-8") from error
    return pl.Series(texts, dtype=pl.String)


def _called(dtype: object) -> str:
    text = isinstance(dtype, np.dtype) and dtype.kind in "US"
    return "text" if text or dtype == pl.String else f"values of type {dtype}"

"""Plain expressions over the fields of model configurations: which of many candidates are meant.

A model is a row with the columns ``core``, ``readout``, ``shifter``, ``modulator``, ``train``, ``data`` (each
with the fields of its configuration: ``core.input_kern``) and ``gain``, ``output``, ``seed``, ``group_id``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import polars as pl

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.query import matching_rows
from inception_loop.errors import ConfigurationError
from inception_loop.training.config import ModelConfig

Restriction = str | dict[str, Any]
"""A boolean SQL expression, or a mapping: field → the value (or any of the values) that it must have."""


def restrict(models: Sequence[ModelConfig], restriction: Restriction | None) -> list[ModelConfig]:
    """Return the models that a plain expression describes, in their order.

    Parameters
    ----------
    models
        Candidates.
    restriction
        ``"core.input_kern = 15 AND train.batch_size IN (60, 125)"``, as DuckDB reads it, or
        ``{"core.input_kern": 15, "train.batch_size": [60, 125]}``. A field that a model's parts do not have
        is NULL (in a mapping: None). A field that holds a list is compared as its JSON text. None: all.

    Raises
    ------
    ConfigurationError
        If the expression is none, or names a field that no candidate has; the message offers the nearest.

    Examples
    --------
    >>> models = [ModelConfig(group_id=0, seed=seed) for seed in (1, 2, 3)]
    >>> [model.seed for model in restrict(models, "seed <> 2 AND core.type = 'GaussianLaplace'")]
    [1, 3]
    >>> [model.seed for model in restrict(models, {"seed": [1, 2], "readout.downsample": True})]
    [1, 2]
    """
    if restriction is None or not models:
        return list(models)
    rows = rows_of([as_row(model) for model in models])
    return [models[row] for (row,) in matching(restriction, rows).iter_rows()]


def as_row(model: ModelConfig) -> dict[str, Any]:
    """Return a model as the row that expressions are about: nested plain values by field."""
    row = model.model_dump(mode="json")
    return {**row.pop("network"), **row}


def matching(
    restriction: Restriction | None, *frames: pl.DataFrame, within: Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """Return the combinations of rows that an expression describes; see `query.matching_rows`.

    Parameters
    ----------
    restriction, frames
        The expression, and what it is about.
    within
        A mapping that has to hold too. Here a field that no candidate has is NULL.

    Raises
    ------
    ConfigurationError
        As `restrict` does.
    """
    known = [name for frame in frames for name in field_names(frame)]
    wanted = [
        _is_any_of(name, value) if name in known else ("TRUE" if value is None else "FALSE")
        for name, value in (within or {}).items()
    ]
    wanted += [_sql(restriction, known)] if restriction is not None else []
    found: pl.DataFrame | str
    try:
        found = matching_rows(wanted, *frames)
    except ConfigurationError as error:
        found = str(error)
    if isinstance(found, str):
        raise ConfigurationError(_with_near_names(found, wanted[-1] if wanted else "TRUE", known))
    return found


def _sql(restriction: Restriction, known: Sequence[str]) -> str:
    return restriction if isinstance(restriction, str) else _condition(restriction, known)


_UNKNOWN = re.compile(r'(?:find key|Referenced (?:column|table)) "([^"]+)"')


def _with_near_names(wrong: str, condition: str, known: Sequence[str]) -> str:
    """Say of an error that a condition raised which names the writer may have meant, if it was a name."""
    named = _UNKNOWN.search(wrong)
    if named is None:
        return wrong
    name = named[1]
    written = re.search(rf"[\w.]*\b{re.escape(name)}\b[\w.]*", condition)
    return f"the condition {condition!r} names the {_unknown(written[0] if written else name, known)}"


def _unknown(name: str, known: Sequence[str]) -> str:
    """Say that a field is unknown and which may be meant: the nearest, or else those of its part.

    Examples
    --------
    >>> _unknown("core.inputkern", ["core.input_kern", "core.layers", "seed"])
    "unknown field 'core.inputkern'; did you mean core.input_kern?"
    >>> _unknown("core.x", ["core.input_kern", "core.layers", "seed"])
    "unknown field 'core.x'; expected some of core.input_kern, core.layers"
    """
    same = [field for field in known if field.rpartition(".")[2] == name.rpartition(".")[2]]
    near = list(dict.fromkeys([*same, *get_close_matches(name, known, n=3, cutoff=0.75)]))
    if near:
        *others, last = near
        return f"unknown field {name!r}; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
    part = name.partition(".")[0] + "."
    of_part = [field for field in known if field.startswith(part)]
    parts = [f"{field.partition('.')[0]}.…" if "." in field else field for field in known]
    return f"unknown field {name!r}; expected some of {', '.join(of_part or dict.fromkeys(parts))}"


def rows_of(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return nested plain values as a table with struct columns; what a row lacks is null."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def field_names(frame: pl.DataFrame) -> list[str]:
    """Return the dotted names of all fields of a table, ``core.type`` as well as ``seed``."""
    return [name for column, dtype in frame.schema.items() for name in _dotted(column, dtype)]


def _dotted(name: str, dtype: pl.DataType) -> Iterator[str]:
    if not isinstance(dtype, pl.Struct):
        yield name
        return
    for field in dtype.fields:
        yield from (f"{name}.{rest}" for rest in _dotted(field.name, field.dtype))  # type: ignore[arg-type]


def _column(name: str, values: Sequence[Any]) -> pl.Series:
    if any(isinstance(value, dict) for value in values):
        parts = rows_of([value if isinstance(value, dict) else {} for value in values])
        return parts.to_struct(name)
    plain = [canonical_json(value) if isinstance(value, list) else value for value in values]
    types = {type(value) for value in plain if value is not None}
    if types == {int, float}:
        return pl.Series(name, plain, pl.Float64)
    if len(types) == 1:
        return pl.Series(name, plain)
    texts = [value if value is None or isinstance(value, str) else canonical_json(value) for value in plain]
    return pl.Series(name, texts, pl.String)


def _condition(wanted: Mapping[str, Any], known: Sequence[str]) -> str:
    """Write a mapping as an SQL expression."""
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise ConfigurationError(f"a restriction names the {_unknown(unknown[0], known)}")
    return " AND ".join(_is_any_of(name, value) for name, value in wanted.items()) or "TRUE"


def _is_any_of(name: str, wanted: Any) -> str:
    values = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    if not values:
        raise ConfigurationError(f"a restriction allows no value of {name}; expected at least one")
    field = ".".join(f'"{part}"' for part in name.split("."))
    listed = ", ".join(_literal(name, value) for value in values if value is not None)
    parts = [f"{field} IN ({listed})"] if listed else []
    parts += [f"{field} IS NULL"] if None in values else []
    return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"


def _literal(name: str, value: Any) -> str:
    if isinstance(value, (list, tuple)):
        value = canonical_json(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise ConfigurationError(
        f"a restriction compares {name} with a {type(value).__name__}; expected text, a number or true/false"
    )

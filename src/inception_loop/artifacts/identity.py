"""What an artifact is called: canonical JSON of the question, and its SHA-256.

The same question (kind, step version, configuration, inputs) has the same digest on every machine.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from inception_loop.artifacts.forms import as_form
from inception_loop.errors import ConfigurationError

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]


class IntroducedAs:
    """Marks the default that a field had when it was introduced, if that default was changed later.

    ``patience: Annotated[int, IntroducedAs(5)] = 10`` keeps every digest made while the default was 5.
    """

    def __init__(self, value: object) -> None:
        self.value = value


class Config(BaseModel):
    """Base of every configuration: frozen, closed to unknown keys, with a canonical form.

    Examples
    --------
    >>> class Blur(Config):
    ...     sigma: float = 1.0
    >>> canonical_json(Blur()), canonical_json(Blur(sigma=2))
    ('{}', '{"sigma":2.0}')
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        json_schema_extra=as_form,
        hide_input_in_errors=True,  # it may hold a key; `faults` says what may be said
    )


def canonical(value: object) -> JSON:
    """Reduce a value to plain JSON in which equal questions look equal.

    Fields of a `Config` that equal the default they were introduced with are left out, so that a new
    option orphans nothing; single-valued ``Literal`` fields (the tags of unions) always stay.

    Parameters
    ----------
    value
        A `Config`, mapping, sequence, enum or JSON scalar.

    Raises
    ------
    ConfigurationError
        If a float is NaN or infinite, or a value has no canonical form.
    """
    if isinstance(value, Enum):
        return canonical(value.value)
    if isinstance(value, BaseModel):
        return _canonical_model(value)
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigurationError(f"a configuration holds {value}; expected a finite number")
        return value + 0.0  # -0.0 + 0.0 is 0.0
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((canonical(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [canonical(item) for item in value]
    raise ConfigurationError(
        f"a configuration holds a {type(value).__name__}; expected text, numbers, lists or mappings"
    )


def _canonical_model(model: BaseModel) -> dict[str, JSON]:
    out: dict[str, JSON] = {}
    for name, field in type(model).model_fields.items():
        item = canonical(getattr(model, name))
        tag = get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
        if tag or field.is_required() or item != _introduced(field):
            out[name] = item
    return out


def _introduced(field: Any) -> JSON:  # pydantic's FieldInfo is not generic over its default
    for mark in field.metadata:
        if isinstance(mark, IntroducedAs):
            return canonical(mark.value)
    return canonical(field.get_default(call_default_factory=True))


def canonical_json(value: object) -> str:
    """Return the canonical JSON text of a value: sorted keys, no spaces, floats by ``repr``."""
    return json.dumps(
        canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(kind: str, version: int, config: object, inputs: Mapping[str, Sequence[str]]) -> str:
    """Return the SHA-256 (64 hex digits) of a question.

    Parameters
    ----------
    kind, version
        The artifact kind and its hand-bumped step version.
    config
        The configuration, see `canonical`.
    inputs
        Digests of the input artifacts by role, in the order in which the step reads them.

    Examples
    --------
    >>> digest("demo", 1, {"a": 1}, {}) == digest("demo", 1, {"a": 1}, {})
    True
    """
    question = {"kind": kind, "version": version, "config": canonical(config), "inputs": dict(inputs)}
    return hashlib.sha256(canonical_json(question).encode()).hexdigest()

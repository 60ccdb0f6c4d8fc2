"""What is wrong with plain values, in one line: each cause once, as it was typed, and what may be meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from inception_loop.references import FAULT

Place = tuple[int | str, ...]
_QUOTED = re.compile(r"'([^']*)'")
_LISTED = re.compile(r"expected some of ([\w, ]+)$")
_PLAIN = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r"^Input should be "), "expected "),
    (re.compile(r"a valid tuple"), "a list"),
    (re.compile(r"a valid dictionary( or instance of \w+)?"), "a table"),
    (re.compile(r"a valid string"), "text"),
    (re.compile(r"^\w+ should have at least (\d+) items? after validation.*"), r"expected at least \1"),
)


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """Return a question for the choice that is spelt most alike; empty if none is.

    Examples
    --------
    >>> did_you_mean("datset", ["data", "dataset"])
    "; did you mean 'dataset'?"
    """
    near = get_close_matches(str(word), list(choices), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def in_words(
    error: ValidationError,
    *,
    model: type[BaseModel] | None = None,
    values: Mapping[str, Any] | None = None,
    typed: Sequence[str] = (),
) -> str:
    """Say in one line what is wrong with the values of a model: every cause, what it got, what was expected.

    Parameters
    ----------
    error
        What the model raised.
    model, values
        The model and what it was given, if known: then keys are named as they stand there, and misspelt ones
        with the right spelling.
    typed
        Words of a command line: a field that is an option there is named as the option.

    Examples
    --------
    >>> from inception_loop.animals.simulated import SimulatedConfig
    >>> try:
    ...     SimulatedConfig(seed=-1)
    ... except ValidationError as error:
    ...     print(in_words(error))
    ...     print(in_words(error, typed=["demo", "--seed", "-1"]))
    SimulatedConfig: seed is -1; expected greater than or equal to 0
    --seed is -1; expected greater than or equal to 0
    """
    found = error.errors(include_url=False)
    places = [tuple(one["loc"]) for one in found]
    causes = [one for one in found if not any(_within(place, tuple(one["loc"])) for place in places)]
    schema = None if model is None else model.model_json_schema()
    options = {word.partition("=")[0] for word in typed if word.startswith("--")}
    lines: dict[str, list[str]] = {}
    meant: set[Place] = set()
    for one in sorted(causes, key=lambda one: one["type"] != "extra_forbidden"):  # first what may be meant
        place = tuple(one["loc"])
        if place in meant:
            continue
        where = _typed(place, values, one["type"] == "missing")
        option = f"--{where.replace('_', '-')}"
        head, tail = _fault(one, option if option in options else where, _choices(one, schema))
        said = lines.setdefault(head, [])
        said += [tail] if tail not in said else []
        if one["type"] == "extra_forbidden":
            meant |= {(*place[:-1], word) for word in _QUOTED.findall(tail)}
    texts = [_joined(head, tails) for head, tails in lines.items()]
    title = "" if all(text.startswith("--") for text in texts) else f"{error.title}: "
    return title + "; ".join(texts)


def _within(place: Place, outer: Place) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _typed(place: Place, values: Any, missing: bool) -> str:
    """Name a place as it was typed: without the tags and types that choose among forms."""
    if values is None:
        return ".".join(map(str, place))
    parts = (*_steps(place[:-1], values), place[-1]) if missing else _steps(place, values)
    return ".".join(map(str, parts))


def _steps(place: Place, values: Any) -> Place:
    """Return the parts of a place that lead into values, as many as can be: a tag may be called as a key."""
    if not place:
        return ()
    part, rest = place[0], place[1:]
    left_out = _steps(rest, values)
    table = isinstance(values, Mapping) and part in values
    item = isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)
    kept = (part, *_steps(rest, values[part])) if table or item else ()
    return max(kept, left_out, key=len)


def _fault(one: Any, where: str, choices: Sequence[str]) -> tuple[str, str]:  # pydantic's ErrorDetails
    """Return which place is wrong and what it holds, and what was expected."""
    kind, got = one["type"], one["input"]
    if kind == "extra_forbidden":
        near = did_you_mean(where.rpartition(".")[2], choices)
        known = f"; expected {', '.join(choices)}" if choices and not near else ""
        return f"unknown key {where!r}", near or known
    if kind == "missing":
        return f"{where} is missing", ""
    if kind == "union_tag_not_found":
        return f"{where}.type is missing", f"; expected {' or '.join(map(repr, choices))}" if choices else ""
    if kind == "union_tag_invalid":
        tag, tags = one["ctx"]["tag"], one["ctx"]["expected_tags"]
        return f"{where}.type is {tag!r}", f"; expected one of {tags}{did_you_mean(tag, choices)}"
    message = one["msg"]
    for pattern, plain in _PLAIN:
        message = pattern.sub(plain, message)
    listed = _LISTED.search(message)
    if listed is not None:  # the words of a rule of a model
        message += did_you_mean((_QUOTED.findall(message) or [got])[0], listed.group(1).split(", "))
    if kind == FAULT or (kind == "value_error" and isinstance(got, Mapping)):
        return (f"{where}: {message}" if where else message), ""
    return f"{where or 'what is given'} is {got!r:.80}", f"; {message}{did_you_mean(got, choices)}"


def _joined(head: str, tails: Sequence[str]) -> str:
    """Join what several forms of one value expected."""
    first, *others = tails
    return head + first + "".join(f" or{other.removeprefix('; expected')}" for other in others)


def _choices(one: Any, schema: Mapping[str, Any] | None) -> list[str]:
    """Return what a key, a tag or a value could have been."""
    if one["type"] == "literal_error":
        return _QUOTED.findall(one["ctx"]["expected"])
    if one["type"] == "union_tag_invalid":
        return _QUOTED.findall(one["ctx"]["expected_tags"])
    if schema is None:
        return []
    if one["type"] == "union_tag_not_found":
        return [tag for form in _forms(schema, tuple(one["loc"])) for tag in _tags(form)]
    if one["type"] != "extra_forbidden":
        return []
    return list(dict.fromkeys(key for form in _forms(schema, tuple(one["loc"][:-1])) for key in form))


def _forms(schema: Mapping[str, Any], place: Place) -> list[Mapping[str, Any]]:
    """Return the properties of every table that may stand at a place of a JSON schema."""
    here = list(_opened(schema, schema))
    for part in place:
        inner: list[Any] = []
        for one in here:
            if isinstance(part, int):
                inner += (
                    [one["items"]] if isinstance(one.get("items"), Mapping) else one.get("prefixItems", [])
                )
            elif part in one.get("properties", {}):
                inner.append(one["properties"][part])
        if inner:
            here = [form for one in inner for form in _opened(one, schema)]
        else:  # a tag, or the type of one form: no step of the values
            here = [one for one in here if part in _tags(one.get("properties", {}))] or here
    return [one["properties"] for one in here if "properties" in one]


def _tags(properties: Mapping[str, Any]) -> list[str]:
    tag = properties.get("type", {}).get("const")
    return [] if tag is None else [str(tag)]


def _opened(one: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the forms of a schema, its references followed."""
    if "$ref" in one:
        yield from _opened(schema["$defs"][one["$ref"].rpartition("/")[2]], schema)
        return
    several = [*one.get("anyOf", ()), *one.get("oneOf", ()), *one.get("allOf", ())]
    if not several:
        yield one
    for inner in several:
        yield from _opened(inner, schema)

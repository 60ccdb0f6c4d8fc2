"""Parameters as a person gives them: a TOML file, and ``--set KEY=VALUE`` beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from inception_loop.errors import ConfigurationError


def given(stage: str, config: Path | None, changes: Sequence[str] | None) -> dict[str, object]:
    """Return a stage's parameters as a file gives them, with what was set beside it.

    Parameters
    ----------
    stage
        Named in errors.
    config
        TOML file; None: everything is set.
    changes
        ``KEY=VALUE``, keys as in ``rules.leave_out``, values as in TOML or as plain text.

    Raises
    ------
    ConfigurationError
        If there is neither, the file cannot be read, or a change is none.

    Examples
    --------
    >>> given("train", None, ["group_id=1", "grid.type=parts", "cores=[16, 32]"])
    {'group_id': 1, 'grid': {'type': 'parts'}, 'cores': [16, 32]}
    """
    if config is None and not changes:
        raise ConfigurationError(
            f"run {stage} got no --config; expected a TOML file, see --print-example, or --set KEY=VALUE"
        )
    values = {} if config is None else read_toml(config)
    for change in changes or ():
        key, found, text = change.partition("=")
        if not found:
            raise ConfigurationError(f"--set is {change!r}; expected KEY=VALUE, such as --set group_id=1")
        *path, last = key.strip().split(".")
        place: dict[str, object] = values
        for part in path:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigurationError(
                    f"--set {key}: {part} is {inner!r}; expected a table, with {last} in it"
                )
            place = inner
        place[last] = _toml_value(text)
    return values


def _toml_value(text: str) -> object:
    """Return a value as TOML means it; what is none, as ``frame/0123abcd``, is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def read_toml(path: Path) -> dict[str, object]:
    """Read a TOML file, with a one-line error where that fails."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}; expected a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}; see --print-example") from error

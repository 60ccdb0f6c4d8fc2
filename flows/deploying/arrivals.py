"""The place of arrivals as the worker will see it: a folder of its own, or a bucket for containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inception_loop.artifacts.places import backend_of
from inception_loop.errors import ConfigurationError

ON_THIS_MACHINE = "local"
"""Where runs are processes, so that a folder may be one of theirs."""


def place(folder: str, pool: str) -> str:
    """Return a watched folder as it is told to runs, which begin elsewhere than this command.

    Raises
    ------
    ConfigurationError
        If runs are containers, and the folder is no bucket.

    Examples
    --------
    >>> place("s3://recordings/rig-1", "docker")
    's3://recordings/rig-1'
    """
    if pool != ON_THIS_MACHINE and not folder.startswith("s3://"):
        raise ConfigurationError(
            f"folder {folder!r} is no bucket; expected one, as s3://recordings/rig-1: runs of the pool "
            f"{pool} are containers and see no folder of a host; bring recordings into a bucket"
        )
    path = _path(folder)
    return folder if path is None else str(path)


def placed(values: Mapping[str, Any], pool: str) -> dict[str, Any]:
    """Return parameters with their folder to look at, their own or that of a night, as runs are told it."""
    changed = dict(values)
    if isinstance(values.get("folder"), str):
        changed["folder"] = place(values["folder"], pool)
    if isinstance(values.get("watch"), Mapping):
        changed["watch"] = placed(values["watch"], pool)
    return changed


def missing(told: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each who is told a folder that is not here: the worker may be on another machine."""
    for who, values in told.items():
        folder = values.get("folder")
        path = None if folder is None else _path(folder)
        if path is not None and not path.is_dir():
            yield (
                f"{who}: there is no folder {path} on this machine; expected it on the worker's; "
                "make or mount it there"
            )


def _path(folder: str) -> Path | None:
    return backend_of(folder).local_path("")

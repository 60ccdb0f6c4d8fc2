"""The files of an arrival on this machine's disk: where they lie, or copied from a bucket for a while."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path, PurePosixPath

from inception_loop.artifacts.backend import Backend, Entry
from inception_loop.errors import RecordingError, StoreError
from inception_loop.recordings.arrivals.listing import Arrival, grouped
from inception_loop.recordings.arrivals.names import rules_name

COPY = "inception-loop-arrival-"


class StillChangingError(StoreError):
    """Somebody writes on a recording that looked at rest; the next look will tell."""


@contextmanager
def fetched(place: Backend, arrival: Arrival, pattern: re.Pattern[str]) -> Iterator[tuple[Path, Path | None]]:
    """Provide an arrival, and the rules beside it, as paths; copies are gone when the context ends.

    Raises
    ------
    RecordingError
        If the name of a file leads out of its folder, or it is a link to a folder.
    StillChangingError
        If it is not what was listed any more.
    StoreError
        If it cannot be looked at or read, or there is no room for a copy.
    """
    local = place.local_path(arrival.name)
    if arrival.broken:
        raise StoreError(arrival.broken)
    if local is not None:
        if local.is_dir() and not arrival.is_folder:  # nobody looks at the files behind it
            raise RecordingError(
                f"{arrival.name} is a link to a folder; expected the folder, whose files can be "
                "watched; move it there, or watch the place that it leads to"
            )
        _check_unchanged(place, arrival, pattern)
        yield local, None if arrival.rules is None else place.local_path(arrival.rules.key)
        return
    with tempfile.TemporaryDirectory(prefix=COPY) as name:
        folder = Path(name)
        entries = [*arrival.files, *([] if arrival.rules is None else [arrival.rules])]
        _check_room(folder, place.url(arrival.name), sum(entry.size for entry in entries))
        for entry in entries:
            _copy(place, entry, _inside(folder, entry.key))
        _check_unchanged(place, arrival, pattern)
        yield folder / arrival.name, None if arrival.rules is None else folder / arrival.rules.key


def _check_unchanged(place: Backend, arrival: Arrival, pattern: re.Pattern[str]) -> None:
    files = list(place.walk(arrival.name)) if arrival.is_folder else _one(place, arrival.name)
    files += _one(place, rules_name(arrival.name))
    now = grouped(files, {}, pattern).arrivals.get(arrival.name)
    if now is None or now.signature != arrival.signature:
        raise StillChangingError(
            f"{place.url(arrival.name)} changed while it was looked at; expected files at rest; "
            "it is looked at again"
        )


def _one(place: Backend, name: str) -> list[Entry]:
    """Return the one file of a name; a listing knows its time, and begins anywhere."""
    found = takewhile(lambda entry: entry.key.encode() <= name.encode(), place.walk(after=name[:-1]))
    return [entry for entry in found if entry.key == name]


def as_it_lies(text: str, place: Backend) -> str:
    """Return words about the copy of an arrival as words about the arrival: the copy is gone."""
    folders = {tempfile.gettempdir(), os.path.realpath(tempfile.gettempdir())}
    return re.sub(rf"(?:{'|'.join(map(re.escape, folders))})/{COPY}\w+", lambda _: place.uri, text)


def _check_room(folder: Path, name: str, size: int) -> None:
    if size > shutil.disk_usage(folder).free:  # how much is free changes at every look
        raise StoreError(
            f"{name} has {size} bytes, more than are free in {folder.parent}; expected room for a copy; "
            "free some, or set TMPDIR to a larger disk"
        )


def _inside(folder: Path, key: str) -> Path:
    parts = PurePosixPath(key).parts
    if not parts or key != "/".join(parts) or ".." in parts or parts[0] == "/" or "\0" in key:
        raise RecordingError(
            f"the name {key!r} in the bucket leads out of its folder; expected plain names; rename it there"
        )
    return folder.joinpath(*parts)


def _copy(place: Backend, entry: Entry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for chunk in place.chunks(entry.key):
            file.write(chunk)

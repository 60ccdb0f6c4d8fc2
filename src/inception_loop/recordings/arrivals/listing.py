"""What lies in a watched folder or bucket now: every recording with size and time of each of its files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from inception_loop.artifacts.backend import Backend, Entry
from inception_loop.recordings.arrivals.names import RULES, is_unfinished, rules_name, scan_of
from inception_loop.recordings.files import passed_over
from inception_loop.recordings.recording import ScanKey


class Arrival(NamedTuple):
    """A recording that lies there.

    Attributes
    ----------
    name
        Of its file or folder.
    scan
        What it is of, by its name.
    files
        Its files, by their place in the watched folder.
    rules
        The file beside it that says how it is read, if there is one.
    broken
        A link of it that leads nowhere, by its place in the watched folder; empty: none.
    """

    name: str
    scan: ScanKey
    files: tuple[Entry, ...]
    rules: Entry | None = None
    broken: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of files."""
        return [entry.key for entry in self.files] != [self.name]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(entry.size for entry in self.files)

    @property
    def unfinished(self) -> str:
        """The first of its files that has the name of one that is still being written; empty: none."""
        names = (entry.key.rpartition("/")[2] for entry in self.files)
        return next((name for name in names if is_unfinished(name) and not passed_over(name)), "")

    @property
    def signature(self) -> str:
        """SHA-256 of the names, sizes and times of all its files: as long as it stays, nobody writes."""
        entries = [*self.files, *([] if self.rules is None else [self.rules])]
        lines = "".join(f"{one.key}\0{one.size}\0{one.modified!r}\n" for one in entries)
        lines += f"{self.broken}\0nowhere\n" if self.broken else ""
        return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


class Listing(NamedTuple):
    """What lies there: recordings by name, and the names of what is none."""

    arrivals: dict[str, Arrival]
    others: tuple[str, ...]


def listing(place: Backend, pattern: re.Pattern[str]) -> Listing:
    """Look at a folder or bucket prefix once.

    Parameters
    ----------
    place
        The folder.
    pattern
        Which names are recordings; see `scan_pattern`.
    """
    local = place.local_path("")
    return grouped(place.walk(), pattern, () if local is None else _leading_nowhere(local))


def _leading_nowhere(folder: Path, base: str = "") -> Iterator[str]:
    """Find the links that a walk passes over: what lies behind them is away, or never was."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(folder) as found:
        for entry in found:
            if entry.is_symlink():
                if _leads_nowhere(Path(entry.path)):
                    yield base + entry.name
            elif entry.is_dir():
                yield from _leading_nowhere(Path(entry.path), f"{base}{entry.name}/")


def _leads_nowhere(link: Path) -> bool:
    try:
        link.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def grouped(entries: Iterable[Entry], pattern: re.Pattern[str], broken: Iterable[str] = ()) -> Listing:
    """Put the files of a folder together to recordings; those still being written are left out.

    Examples
    --------
    >>> from inception_loop.recordings.arrivals.names import scan_pattern
    >>> keys = ("17-1-2.nwb", "17-1-2.toml", "17-1-3/images.npy", "17-1-3/units.parquet", "notes.txt", ".x")
    >>> entries = [Entry(key, 1, 0.0) for key in keys]
    >>> found = grouped(entries, scan_pattern("{animal_id}-{session}-{scan_idx}"))
    >>> [(one.name, len(one.files), one.rules is not None) for one in found.arrivals.values()]
    [('17-1-2.nwb', 1, True), ('17-1-3', 2, False)]
    >>> found.others
    ('notes.txt',)
    """
    files: dict[str, list[Entry]] = {}
    for entry in entries:
        files.setdefault(entry.key.partition("/")[0], []).append(entry)
    nowhere = {key.partition("/")[0]: key for key in sorted(broken, reverse=True)}
    for name in nowhere:
        files.setdefault(name, [])
    arrivals, others = {}, []
    for name, inside in sorted(files.items()):
        scan = None if is_unfinished(name) else scan_of(name, pattern)
        if scan is not None:
            rules = rules_name(name)
            beside = next(iter(files.get(rules, ())), None)
            lost = nowhere.get(name) or nowhere.get(rules, "")
            arrivals[name] = Arrival(name, scan, tuple(inside), beside, lost)
        elif not is_unfinished(name):
            others.append(name)
    belong = {rules_name(name) for name in arrivals}
    return Listing(arrivals, tuple(name for name in others if not (name.endswith(RULES) and name in belong)))

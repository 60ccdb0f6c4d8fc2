"""What lies in a watched folder or bucket now: every recording with size and time of each of its files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from inception_loop.artifacts.backend import Backend, Entry
from inception_loop.artifacts.faults import faults
from inception_loop.recordings.arrivals.names import RULES, is_unfinished, rules_name, scan_of
from inception_loop.recordings.arrivals.scanning import scanned
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
        What of it cannot be looked at, and why, in words; empty: nothing.
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
        lines = "".join(f"{one.key}\0{one.size}\0{one.modified!r}\n" for one in entries) + self.broken
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
    if local is None:
        return grouped(place.walk(), {}, pattern)
    with faults("list", place.uri):
        return grouped(*scanned(local, place.uri), pattern)


def grouped(entries: Iterable[Entry], broken: Mapping[str, str], pattern: re.Pattern[str]) -> Listing:
    """Put the files of a folder together to recordings; those still being written are left out.

    Examples
    --------
    >>> from inception_loop.recordings.arrivals.names import scan_pattern
    >>> keys = ("17-1-2.nwb", "17-1-2.toml", "17-1-3/images.npy", "17-1-3/units.parquet", "notes.txt", ".x")
    >>> entries = [Entry(key, 1, 0.0) for key in keys]
    >>> found = grouped(entries, {}, scan_pattern("{animal_id}-{session}-{scan_idx}"))
    >>> [(one.name, len(one.files), one.rules is not None) for one in found.arrivals.values()]
    [('17-1-2.nwb', 1, True), ('17-1-3', 2, False)]
    >>> found.others
    ('notes.txt',)
    """
    files: dict[str, list[Entry]] = {}
    for entry in entries:
        files.setdefault(entry.key.partition("/")[0], []).append(entry)
    unread = {key.partition("/")[0]: broken[key] for key in sorted(broken, reverse=True)}
    for name in unread:
        files.setdefault(name, [])
    arrivals, others = {}, []
    for name, inside in sorted(files.items()):
        scan = None if is_unfinished(name) else scan_of(name, pattern)
        if scan is not None:
            rules = rules_name(name)
            beside = next(iter(files.get(rules, ())), None)
            lost = unread.get(name) or unread.get(rules, "")
            arrivals[name] = Arrival(name, scan, tuple(inside), beside, lost)
        elif not is_unfinished(name):
            others.append(name)
    belong = {rules_name(name) for name in arrivals}
    return Listing(arrivals, tuple(name for name in others if not (name.endswith(RULES) and name in belong)))

"""The files of a watched folder on a disk; what cannot be looked at is named and hides nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from inception_loop.artifacts.backend import Entry
from inception_loop.artifacts.faults import PASSING_ERRNO
from inception_loop.recordings.files import passed_over

NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class Scanned(NamedTuple):
    """What lies in a folder.

    Attributes
    ----------
    files
        Every file that can be looked at, by its place in the folder, in the order of their names in bytes.
    broken
        What cannot be looked at, by its place in the folder, and why, in words; hidden files are passed over.
    """

    files: list[Entry]
    broken: dict[str, str]


def scanned(folder: Path, where: str) -> Scanned:
    """Look at a folder and those in it; links to folders are not followed.

    Parameters
    ----------
    folder
        The folder.
    where
        What it is called in words.

    Raises
    ------
    OSError
        If the folder itself cannot be listed, or its machine does not answer.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     (Path(name) / "round").symlink_to("round")
    ...     _ = (Path(name) / "17-1-2.nwb").write_bytes(b"...")
    ...     found = scanned(Path(name), "day")
    >>> [one.key for one in found.files]
    ['17-1-2.nwb']
    >>> found.broken["round"].partition(";")[0]
    'the link day/round leads nowhere'
    """
    found = Scanned([], {})
    with os.scandir(folder) as entries:
        _scan(entries, where, "", found)
    found.files.sort(key=lambda one: os.fsencode(one.key))
    return found


def _scan(entries: Iterator[os.DirEntry[str]], where: str, base: str, found: Scanned) -> None:
    for entry in entries:
        key = base + entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                with os.scandir(entry.path) as inside:
                    _scan(inside, where, f"{key}/", found)
            else:
                stat = entry.stat()
                found.files.append(Entry(key, stat.st_size, stat.st_mtime))
        except RecursionError:
            found.broken[key] = (
                f"{where}/{key.partition('/')[0]} has folders in folders to no end; expected files of a "
                "recording; take it away"
            )
        except OSError as error:
            if error.errno in PASSING_ERRNO:
                raise
            if passed_over(entry.name):
                continue  # a lock of an editor, a snapshot: no part of a recording
            if error.errno not in NOWHERE:
                found.broken[key] = (
                    f"{where}/{key} cannot be looked at ({error.strerror}); expected what "
                    "the worker's user may read; change who may, or take it away"
                )
            elif entry.is_symlink():  # else it was removed meanwhile
                found.broken[key] = (
                    f"the link {where}/{key} leads nowhere; expected a file; mend or remove the link, or "
                    "mount what it leads to"
                )

"""Files and folders that strangers wrote: what lies there, never outside of it, known by its bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from inception_loop.errors import RecordingError

_OF_A_DESKTOP = ("thumbs.db", "desktop.ini")


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file of a folder.

    Raises
    ------
    RecordingError
        If the name, or a link on the way, leaves the folder, or a device or pipe lies there.
    """
    path = folder / name
    try:
        stays = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise RecordingError(f"{name!r} in {folder} leads nowhere; expected a file; copy it there") from error
    if not stays:
        raise RecordingError(
            f"{name!r} in {folder} leads out of the folder to {path.resolve()}; "
            "expected every file inside it; copy what it links to into the folder"
        )
    if path.exists() and not path.is_file() and not path.is_dir():  # who opens a pipe may wait for ever
        raise RecordingError(f"{name!r} in {folder} is a device or pipe; expected a file")
    return path


def check_there(path: Path) -> None:
    """Refuse a path where nothing lies, or something that no recording can be read from.

    Raises
    ------
    RecordingError
        If it is neither a file nor a folder.
    """
    if path.is_file() or path.is_dir():
        return
    if path.exists():  # whoever opens a pipe may wait for ever
        raise RecordingError(
            f"{path} is neither a file nor a folder but a device or pipe; expected a recording"
        )
    raise RecordingError(
        f"there is no file or folder {path}; expected a recording; give its path on the machine that reads it"
    )


def passed_over(name: str) -> bool:
    """Whether a file or folder is one that systems leave behind everywhere, and is no part of a recording.

    Examples
    --------
    >>> [name for name in (".DS_Store", "._0.npy", "Thumbs.db", "desktop.ini", "0.npy") if passed_over(name)]
    ['.DS_Store', '._0.npy', 'Thumbs.db', 'desktop.ini']
    """
    return name.startswith(".") or name.lower() in _OF_A_DESKTOP


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file of a folder by its relative name (with ``/``), in the order of the names.

    Files that are `passed_over`, and all files in such folders, are left out.

    Raises
    ------
    RecordingError
        If a link leaves the folder, or leads to a folder that is passed over.
    """
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        parts = path.relative_to(folder).parts
        if any(map(passed_over, parts)):
            continue
        name = "/".join(parts)
        if path.is_symlink():
            target = inside(folder, name).resolve()
            hidden = any(map(passed_over, target.relative_to(folder.resolve()).parts))
            if hidden and target.is_dir():  # its files would be read and not be part of the digest
                raise RecordingError(
                    f"{name!r} in {folder} leads to a hidden folder; expected every file in one "
                    "that is not; copy what it links to in its place"
                )
        if path.is_file():
            yield name, path


def content_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes; of a folder: of the names and SHA-256 of `files_of` it.

    Neither the place nor the times of the files matter.

    Raises
    ------
    RecordingError
        If there is nothing to read, or a link leaves the folder.
    """
    check_there(path)
    try:
        if path.is_file():
            return _digest(path)
        lines = [f"{name}\0{_digest(file)}\n" for name, file in files_of(path)]
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}; expected a recording") from error
    if not lines:
        raise RecordingError(f"the folder {path} is empty; expected a recording")
    return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

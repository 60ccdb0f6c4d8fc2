"""Files that strangers wrote, opened without trust: never pickled, never outside their folder, bounded."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError

CHUNK = 2**22


def in_one_line(path: Path) -> str:
    """Return a path as text without line breaks, which file systems allow in names."""
    return " ".join(str(path).splitlines())


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
        raise RecordingError(
            f"{name!r} in {in_one_line(folder)} leads nowhere; expected a file; copy it there"
        ) from error
    if not stays:
        raise RecordingError(
            f"{name!r} in {in_one_line(folder)} leads out of the folder to {in_one_line(path.resolve())}; "
            "expected every file inside it; copy what it links to into the folder"
        )
    if path.exists() and not path.is_file() and not path.is_dir():  # who opens a pipe may wait for ever
        raise RecordingError(f"{name!r} in {in_one_line(folder)} is a device or pipe; expected a file")
    return path


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file of a folder by its relative name (with ``/``), in the order of the names.

    Raises
    ------
    RecordingError
        If a link leaves the folder.
    """
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            inside(folder, name)
        if path.is_file():
            yield name, path


def content_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes; of a folder: of all its files' names and SHA-256.

    Neither the place nor the times of the files matter.

    Raises
    ------
    RecordingError
        If there is nothing to read, or a link leaves the folder.
    """
    try:
        if path.is_file():
            return _digest(path)
        if not path.is_dir():
            raise RecordingError(f"there is no file or folder {in_one_line(path)}; expected a recording")
        lines = [f"{name}\0{_digest(file)}\n" for name, file in files_of(path)]
    except OSError as error:
        raise RecordingError(
            f"{in_one_line(path)} cannot be read: {error.strerror}; expected a recording"
        ) from error
    if not lines:
        raise RecordingError(f"the folder {in_one_line(path)} is empty; expected a recording")
    return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_npy(path: Path) -> npt.NDArray[Any]:
    """Read an ``.npy`` of numbers or text.

    Raises
    ------
    RecordingError
        If it is absent, truncated, no NPY, or holds pickled objects.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers as Python 2 wrote them are fine
            array: npt.NDArray[Any] = np.lib.format.read_array(
                file, allow_pickle=False, max_header_size=10_000
            )
            return array
    except OSError as error:
        raise RecordingError(
            f"{in_one_line(path)} cannot be read: {error.strerror or error}; expected an .npy"
        ) from error
    except Exception as error:  # numpy promises no class for a header that is no header
        raise RecordingError(f"{in_one_line(path)}: {_why(error)}") from error


def _why(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "allow_pickle" in text or "Object arrays" in text:
        return "holds pickled Python objects, which are never loaded; expected plain numbers or text"
    return f"is not readable ({text[:200] or type(error).__name__}); expected a sound NPY; write it again"

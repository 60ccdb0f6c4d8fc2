"""A folder that stands whole under its name or not at all, whatever kills the process that writes it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from inception_loop.errors import ConfigurationError, StoreError

TEMPORARY = ".writing-"
_DEAD_AFTER_S = 60.0  # younger folders that nobody holds may be about to be held
_IN_USE = {errno.EEXIST, errno.ENOTEMPTY}


def final_place(output: Path) -> Path:
    """Return where a folder is to stand, links followed.

    Raises
    ------
    ConfigurationError
        If a file stands there, or the place cannot be looked at.
    """
    try:
        final = output.resolve()
        taken = final.exists() and not final.is_dir()
    except (OSError, RuntimeError) as error:
        raise ConfigurationError(
            f"--output {output} leads nowhere ({getattr(error, 'strerror', None) or 'a loop of links'}); "
            "expected a folder; give another"
        ) from error
    if taken:
        raise ConfigurationError(f"--output {output} is a file; expected a folder; give another")
    return final


def first_inside(folder: Path) -> str:
    """Return the name of something that a folder holds; empty if there is nothing, or no folder.

    Raises
    ------
    ConfigurationError
        If it cannot be looked into.
    """
    try:
        return min(os.listdir(folder), default="")  # noqa: PTH208  # names alone
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigurationError(
            f"cannot look into the folder {folder}: {error.strerror}; expected a folder to write; "
            "give another --output"
        ) from error


@contextmanager
def fresh_folder(final: Path, needed: int) -> Iterator[Path]:
    """Yield a folder beside ``final`` that takes its name, synced to the disk, when the block ends well.

    A process that is killed leaves at most a hidden folder beside it, which the next one removes.

    Parameters
    ----------
    final
        Where it is to stand: absent or empty.
    needed : bytes
        Space that will be written.

    Raises
    ------
    ConfigurationError
        If nothing can be written there.
    StoreError
        If there is too little space, or writing fails midway; nothing stands under the name then.
    """
    temporary = final.parent / f".{final.name}{TEMPORARY}{uuid.uuid4().hex}"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        _remove_dead(final, temporary.stat().st_mtime)
    except OSError as error:
        raise ConfigurationError(
            f"cannot make a folder in {final.parent}: {error.strerror}; expected a place to write; "
            "give another --output"
        ) from error
    try:
        with _held(temporary), _one_line(final):
            _check_space(final.parent, needed)
            yield temporary
            sync_tree(temporary)
            temporary.rename(final)
            _sync(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """Bring a folder's and its subfolders' entries to the disk; their files have been synced."""
    for path, _, _ in os.walk(folder):
        _sync(Path(path))


@contextmanager
def _one_line(final: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        if error.errno in _IN_USE:
            what = "somebody else has put something there meanwhile"
            raise ConfigurationError(f"cannot export to {final}: {what}; give another --output") from error
        raise StoreError(
            f"cannot write the export {final}: {error.strerror or error}; nothing of it was left there; "
            "expected a place to write with enough space; give another --output"
        ) from error


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"the export takes up to {needed / 1e6:.0f} MB but {folder} has {free / 1e6:.0f} MB left; "
            "nothing was written; free some space, ask for fewer --format, or give another --output"
        )


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder: it is free as soon as the process has ended, however it did."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _remove_dead(final: Path, now: float) -> None:
    """Remove what killed processes have left beside the folder; ``now`` by the clock that stamps it."""
    for left in final.parent.glob(f".{_literal(final.name)}{TEMPORARY}*"):
        with suppress(OSError):
            if now - left.stat().st_mtime < _DEAD_AFTER_S:
                continue
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)


def _literal(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

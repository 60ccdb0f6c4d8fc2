"""Damage on which the HDF5 library never comes back: found before the library is asked.

Texts of any length lie in the file's *global heap collections*: blocks of objects, each with its size, and
object 0 for what is free. The library (2.0.0 and all before it) goes from object to object by their sizes and
stays for ever at a free object of size 0, as a zeroed stretch of the file has it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from inception_loop.errors import RecordingError

_HEAP = b"GCOL\x01"  # the three bytes after it are of no meaning to the library
_HEAD = 16  # of a collection, and of each object in it
_SMALLEST = 4096
_ADDRESSES = 2**64
_AT_ONCE = 2**24  # bytes searched at once; a multiple of every page size


def check_heaps(path: Path) -> None:
    """Refuse a file with a global heap collection that the library could not leave.

    The whole file is searched, at about 0.7 GB a second.

    Parameters
    ----------
    path
        An HDF5 file.

    Raises
    ------
    RecordingError
        If there is such a one, or the file cannot be read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for at in _heaps(content):
                if _is_endless(content, at):
                    raise RecordingError(
                        f"{path} is damaged: its heap of texts at byte {at} has an object without a size; "
                        "expected a whole HDF5 file; write or copy it again (h5repack cleans a file whose "
                        "texts can still be read)"
                    )
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{path} cannot be read ({error}); expected a whole HDF5 file") from error


def _heaps(content: mmap.mmap) -> Iterator[int]:
    """Yield where collections begin; what was searched is let go of: it does not stay in memory."""
    for start in range(0, len(content), _AT_ONCE):
        stop = start + _AT_ONCE
        at = content.find(_HEAP, start, stop + len(_HEAP) - 1)
        while at >= 0:
            yield at
            at = content.find(_HEAP, at + 1, stop + len(_HEAP) - 1)
        if hasattr(content, "madvise"):
            content.madvise(mmap.MADV_DONTNEED, start, min(_AT_ONCE, len(content) - start))


def _is_endless(content: mmap.mmap, start: int) -> bool:
    """Go through a collection as the library does; whatever else is wrong, it finds itself."""
    size = int.from_bytes(content[start + 8 : start + _HEAD], "little")
    end = min(start + max(size, _SMALLEST), len(content))
    at = start + _HEAD
    while at + _HEAD <= end:
        number = int.from_bytes(content[at : at + 2], "little")
        length = int.from_bytes(content[at + 8 : at + _HEAD], "little")
        step = _HEAD + -(-length // 8) * 8 if number else length
        if step == 0 or step >= _ADDRESSES:
            return True
        at += step
    return False

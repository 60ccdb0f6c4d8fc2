"""Datasets of HDF5 files that strangers wrote: never out of the file, never objects, nothing unwritten."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError
from inception_loop.recordings.columns import Values, as_float32, check_real
from inception_loop.recordings.hdf5.heaps import check_heaps

DAMAGE = (OSError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError)
"""What the HDF5 library raises on a damaged file."""

_HIGHEST_COMPRESSION = 1_200  # what deflate makes of nothing but zeros


@contextmanager
def one_line(where: str) -> Iterator[None]:
    """Say in one line what the library finds wrong with a file.

    Raises
    ------
    RecordingError
    """
    try:
        yield
    except RecordingError:
        raise
    except FileNotFoundError as error:
        raise RecordingError(f"there is no file {where}; expected an HDF5 recording") from error
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RecordingError(
            f"{where} is not readable as HDF5 ({reason}); expected a whole file; write or copy it again"
        ) from error


class FileRows:
    """Rows of a dataset as float32, read when they are asked for; the file stays open for as long.

    Attributes
    ----------
    shape : (N, F)
    dtype : float32
    """

    dtype = np.dtype(np.float32)

    def __init__(self, rows: h5py.Dataset, where: str) -> None:
        check_real(rows.dtype, f"{where}: traces")
        self._rows = rows
        self._where = where
        self.shape: tuple[int, ...] = rows.shape

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.float32]:
        with one_line(self._where):
            return as_float32(np.asarray(self._rows[rows]), f"{self._where}: traces")


def values(group: h5py.Group, name: str, where: str) -> Values:
    """Read a column of numbers or text.

    Raises
    ------
    RecordingError
        As `dataset`; or if it holds neither.
    """
    column = dataset(group, name, where)
    if h5py.check_string_dtype(column.dtype) is None:
        return numbers(group, name, where)
    if column.ndim != 1:
        raise RecordingError(f"{where}: {name} has shape {column.shape}; expected one value a row")
    _check_heaps(column.dtype, column.file)
    return pl.Series(column.asstr()[()].tolist(), dtype=pl.String)


def said(of: h5py.File | h5py.Group, name: str, where: str) -> str | None:
    """Return an attribute of text, None where there is none.

    Raises
    ------
    RecordingError
        If it is none of text.
    """
    if name not in of.attrs:
        return None
    attribute = of.attrs.get_id(name)
    kind = h5py.check_string_dtype(attribute.dtype)
    if kind is None or attribute.shape != ():  # some damaged types crash the library if they are read
        raise RecordingError(f"{where}: the attribute {name} is no text; expected one text")
    _check_heaps(attribute.dtype, of.file)
    text: str | bytes = of.attrs[name]
    return text.decode() if isinstance(text, bytes) else text


def number_said(of: h5py.File | h5py.Group, name: str, where: str) -> int | None:
    """Return an attribute of one whole number, None where there is none.

    Raises
    ------
    RecordingError
        If it is none of a whole number.
    """
    if name not in of.attrs:
        return None
    attribute = of.attrs.get_id(name)
    if attribute.dtype.kind not in "iu" or attribute.shape != ():
        raise RecordingError(f"{where}: the attribute {name} is no whole number; expected one")
    return int(of.attrs[name])


def numbers(group: h5py.Group, name: str, where: str) -> npt.NDArray[Any]:
    """Read an array of real numbers, in the byte order of this machine.

    Raises
    ------
    RecordingError
        As `dataset`; or if it holds anything else.
    """
    array = dataset(group, name, where)
    check_real(array.dtype, f"{where}: {name}")
    return np.asarray(array[()], array.dtype.newbyteorder("="))


def dataset(group: h5py.Group, name: str, where: str) -> h5py.Dataset:
    """Return a dataset whose every number lies in this file.

    Raises
    ------
    RecordingError
        If it is a link, a group, virtual, stored elsewhere, or was not written to its end.
    """
    found = member(group, name, where)
    what = f"{where}: {name}"
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise RecordingError(f"{what} holds no array; expected a dataset")
    if found.is_virtual or found.external is not None:
        raise RecordingError(
            f"{what} keeps its numbers in other files, which are never opened; expected them in this file"
        )
    stored, claimed = found.id.get_storage_size(), found.size * found.dtype.itemsize
    most = min(stored, found.file.id.get_filesize()) * (_HIGHEST_COMPRESSION if found.chunks else 1)
    if claimed > most:
        raise RecordingError(
            f"{what} claims {claimed} bytes of numbers but the file holds {stored}; expected all of them; "
            "write it again"
        )
    _check_chunks(found, what)
    return found


def member(group: h5py.Group, name: str, where: str) -> h5py.Dataset | h5py.Group:
    """Return a dataset or group that lies where it is named.

    Raises
    ------
    RecordingError
        If it is a link.
    """
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise RecordingError(
            f"{where}: {name} is a link, which may lead out of the file and is never followed; "
            "expected the data themselves"
        )
    return group[name]


def _check_chunks(found: h5py.Dataset, what: str) -> None:
    """Refuse a dataset with unwritten parts, which would read as zeros."""
    if found.chunks is None or found.size == 0:
        return
    whole = math.prod(-(-n // chunk) for n, chunk in zip(found.shape, found.chunks, strict=True))
    written = found.id.get_num_chunks()
    if written < whole:
        raise RecordingError(
            f"{what} holds {written} of its {whole} chunks; expected all of them; write it again"
        )


def _check_heaps(dtype: np.dtype[Any], file: h5py.File) -> None:
    """Look through a file for damage that the library never comes back from, before it reads a text there."""
    text = h5py.check_string_dtype(dtype)
    if text is not None and text.length is None:
        path = Path(file.filename)
        _checked(path, path.stat().st_size, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _checked(path: Path, size: int, modified_ns: int) -> None:
    """Look through a file once, not once a text, unless it changed."""
    check_heaps(path)

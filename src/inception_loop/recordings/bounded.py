"""Arrays and tables whose headers are read before their numbers: nothing pickled, no bombs."""

from __future__ import annotations

import math
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.parquet import ExtensionError, OutOfProportionError, check_proportion
from inception_loop.artifacts.parquet import read as read_parquet
from inception_loop.errors import RecordingError
from inception_loop.recordings.columns import as_float32, check_real

_BROKEN = (
    *(OSError, ValueError, EOFError, TypeError, SyntaxError, OverflowError, MemoryError, KeyError),
    *(NotImplementedError, RuntimeError, RecursionError, zipfile.BadZipFile, zlib.error),
    *(tokenize.TokenError, UserWarning),
)
_LONGEST_HEADER = 10_000
_FIRST_OF_A_PICKLE = b"\x80"


class Header(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    nbytes: int
    """Bytes of the header and the numbers."""


class ArrayRows:
    """Rows of a mapped array as float32; nothing is read before it is asked for.

    Attributes
    ----------
    shape : (N, F)
    dtype : float32
    """

    dtype = np.dtype(np.float32)

    def __init__(self, rows: npt.NDArray[Any], what: str) -> None:
        check_real(rows.dtype, what)
        self._rows = rows
        self._what = what
        self.shape: tuple[int, ...] = rows.shape

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.float32]:
        return as_float32(np.asarray(self._rows[rows]), self._what)


def npy(path: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    """Read or map an ``.npy``.

    Raises
    ------
    RecordingError
        If it is no sound ``.npy``, holds objects, or claims more numbers than it has.
    """
    try:
        with path.open("rb") as file:
            header = _header(file, str(path))
            size = path.stat().st_size
    except _BROKEN as error:
        raise _broken(path, error) from error
    if header.nbytes != size:
        raise RecordingError(
            f"{path} claims an array of shape {header.shape}, {header.nbytes} bytes, but has {size}; "
            "expected a whole file; write or copy it again"
        )
    mode: Literal["r"] | None = "r" if mapped and math.prod(header.shape) > 0 else None  # 0 bytes: no map
    try:
        with _as_python_2_wrote_it():
            array: npt.NDArray[Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
    except _BROKEN as error:
        raise _broken(path, error) from error
    return array


def npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read every member of an ``.npz``.

    Raises
    ------
    RecordingError
        If it is no sound ``.npz``, or a member holds objects, stands twice, or claims numbers that it does
        not have or out of all proportion to the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _BROKEN as error:
        raise _broken(path, error) from error


def members(path: Path) -> frozenset[str]:
    """Return the names of an archive's arrays, none if it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.removesuffix(".npy") for name in archive.namelist())
    except _BROKEN:
        return frozenset()


def parquet(path: Path) -> pl.DataFrame:
    """Read a table.

    Raises
    ------
    RecordingError
        If it is no sound Parquet, or claims rows out of all proportion to the file.
    """
    try:
        return _frame(read_parquet(path))  # PyArrow refuses damage on which Polars panics
    except (OutOfProportionError, ExtensionError) as error:
        raise RecordingError(f"{path} {error}") from error
    except (*_BROKEN, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise _broken(path, error) from error


def _frame(table: pa.Table) -> pl.DataFrame:
    """Return a table that has been looked through, since Polars panics on text that is no UTF-8."""
    table.validate(full=True)
    columns = {name: table.column(at) for at, name in enumerate(table.column_names)}
    if len(columns) != table.num_columns:
        raise ValueError("two columns of one name")
    return pl.DataFrame({name: pl.Series(name, column) for name, column in columns.items()})


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    seen: set[str] = set()
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        what = f"{path}: {name}"
        if name in seen or not info.filename.endswith(".npy"):
            raise RecordingError(
                f"{what} stands twice or is no array; expected each .npy once; write it again"
            )
        seen.add(name)
        with archive.open(info) as file:
            header = _header(file, what)
        if header.nbytes != info.file_size:
            raise RecordingError(
                f"{what} claims an array of shape {header.shape}, {header.nbytes} bytes, but its entry "
                f"says {info.file_size}; expected a sound archive; write it again"
            )
    try:
        check_proportion(sum(info.file_size for info in archive.infolist()), path.stat().st_size)
    except OutOfProportionError as error:
        raise RecordingError(f"{path} {error}") from error


def _as_python_2_wrote_it() -> warnings.catch_warnings[None]:
    """Take headers that NumPy mends (integers as ``2L``) without a word; what it cannot mend it refuses."""
    return warnings.catch_warnings(action="ignore")


def _header(file: Any, what: str) -> Header:
    """Read the header of an array, and nothing of its numbers."""
    start = file.read(1)
    if start == _FIRST_OF_A_PICKLE:
        raise RecordingError(f"{what} is a pickle, which is never loaded; expected numbers or text as .npy")
    stream: BinaryIO = file
    stream.seek(0)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"NPY version {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with _as_python_2_wrote_it():
        shape, _, dtype = read(stream, max_header_size=_LONGEST_HEADER)
    if dtype.hasobject:
        raise RecordingError(
            f"{what} holds pickled Python objects, which are never loaded; expected numbers or text (arrays "
            "of different sizes do not fit into one); bring them to one size and type"
        )
    if dtype.names is not None or any(length < 0 for length in shape):
        raise ValueError(f"type {dtype}, shape {shape}")
    return Header(shape, dtype, stream.tell() + math.prod(shape) * dtype.itemsize)


def _broken(path: Path, error: Exception) -> RecordingError:
    if isinstance(error, RecordingError):
        return error
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return RecordingError(f"{path} is not readable ({reason}); expected a whole file; write or copy it again")

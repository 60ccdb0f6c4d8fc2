"""Bundles of arrays: NPZ of stored members, written front to back, mapped or read by ranges. Never pickle."""

from __future__ import annotations

import io
import math
import re
import struct
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inception_loop.artifacts.backend import CHUNK, RangeFile, Sink
from inception_loop.artifacts.kind import Arrays, Bundle
from inception_loop.errors import ArtifactCorruptError, DataError

ALIGNMENT = 64
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_ZIP64_EXTRA = 20
_PAD = struct.Struct("<HHH")
_PAD_ID = 0xD935  # the registered "alignment" field of ZIP archives
_MOST = 2**63  # numbers of an array, those of its empty dimensions aside: NumPy counts no further
_MEMBER = re.compile(r"[^/\\\x00-\x1f]{1,200}")
# NumPy parses headers by `ast`, which fails at times where two threads are in it at once (seen on Python
# 3.11): "SystemError: AST constructor recursion depth mismatch".
_PARSING = threading.RLock()


class Blocks(NamedTuple):
    """An array that is never whole in memory: its shape, dtype and its rows, block after block."""

    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    blocks: Iterable[npt.NDArray[Any]]


@dataclass(frozen=True)
class Member:
    """Where one stored member's numbers lie in the archive."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize  # whole numbers that never wrap around


def check_arrays(declared: Arrays, arrays: Mapping[str, npt.NDArray[Any] | Blocks], where: str) -> None:
    """Refuse members that are undeclared, missing, of another dtype or rank, or hold Python objects.

    Raises
    ------
    DataError
        With the member's name, what it is and what was declared.
    """
    for name, array in arrays.items():
        if np.dtype(array.dtype).hasobject:
            raise DataError(
                f"member '{name}' of {where} holds Python objects; expected numbers or text of fixed width; "
                "convert it before it is written"
            )
        if not _MEMBER.fullmatch(name):
            raise DataError(f"{where} has a member called {name!r}; expected 1 to 200 characters, no slashes")
    if declared.members is None:
        return
    if set(arrays) != set(declared.members):
        raise DataError(
            f"{where} has the members {sorted(arrays)}; expected {sorted(declared.members)}; "
            "change the bundle or its declaration"
        )
    for name, member in declared.members.items():
        dtype, shape = np.dtype(arrays[name].dtype), tuple(arrays[name].shape)
        if str(dtype) not in member.dtype.split(" or ") or len(shape) != len(member.dims):
            raise DataError(
                f"member '{name}' of {where} is {dtype} of shape {shape}; expected {member.dtype} "
                f"with the dimensions {member.dims}; convert it before it is written"
            )


def write_npz(sink: Sink, arrays: Mapping[str, npt.NDArray[Any] | Blocks]) -> None:
    """Write arrays as an NPZ of stored members, front to back, each 64-byte aligned, with no times in it."""
    out = _Counting(sink)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # the same bytes on every platform
            info.extra = _padding(out.written, info)
            with archive.open(info, "w", force_zip64=True) as member:
                for piece in _npy(arrays[name]):
                    member.write(piece)


def _padding(start: int, info: zipfile.ZipInfo) -> bytes:
    """Return the extra field that puts the member's first byte on a multiple of 64."""
    head = start + _LOCAL_HEADER.size + len(info.filename.encode()) + _ZIP64_EXTRA + _PAD.size
    fill = -head % ALIGNMENT
    return _PAD.pack(_PAD_ID, 2 + fill, ALIGNMENT) + bytes(fill)


def _npy(array: npt.NDArray[Any] | Blocks) -> Iterator[bytes | memoryview]:
    shape, dtype = tuple(array.shape), np.dtype(array.dtype)
    header = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    yield header.getvalue()
    rows = 0
    for block in array.blocks if isinstance(array, Blocks) else _rows(array):
        if block.ndim != len(shape) or block.shape[1:] != shape[1:] or block.dtype != dtype:
            raise DataError(
                f"a block is {block.dtype} of shape {block.shape}; expected {dtype} rows of shape {shape[1:]}"
            )
        rows += block.shape[0] if shape else 1
        yield from _bytes(block)
    if rows != (shape[0] if shape else 1):
        raise DataError(f"the blocks of an array hold {rows} rows; expected {shape[0]}")


def _bytes(block: npt.NDArray[Any]) -> Iterator[memoryview]:
    if block.size == 0:
        return
    flat: Any = np.ascontiguousarray(block).reshape(-1).view(np.uint8)
    data = memoryview(flat)
    for start in range(0, data.nbytes, CHUNK):
        yield data[start : start + CHUNK]


def _rows(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Cut an array into blocks of rows, so that one of another order is never copied as a whole."""
    if array.ndim == 0 or array.flags.c_contiguous:
        yield array
        return
    step = max(1, CHUNK * array.shape[0] // max(1, array.nbytes))
    for start in range(0, array.shape[0], step):
        yield array[start : start + step]


def members(read: Callable[[int, int], bytes], size: int, where: str) -> dict[str, Member]:
    """Find the stored members of an archive by reading its directory and headers only.

    Parameters
    ----------
    read
        ``read(start, stop)`` returns these bytes of the archive.
    size
        Bytes of the archive.
    where
        What the bundle is called in an error.

    Raises
    ------
    ArtifactCorruptError
        If it is no NPZ of stored members without Python objects.
    """
    try:
        with zipfile.ZipFile(io.BufferedReader(RangeFile(read, size), 2**16)) as archive:
            found = {i.filename.removesuffix(".npy"): _member(read, i, size) for i in archive.infolist()}
            if len(found) != len(archive.infolist()):
                raise ValueError("a member stands twice")
            return found
    except (zipfile.BadZipFile, ValueError, struct.error, EOFError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactCorruptError(
            f"{where} is not readable as NPZ ({reason}); verify the store, then repair the artifact"
        ) from error


def _member(read: Callable[[int, int], bytes], info: zipfile.ZipInfo, size: int) -> Member:
    """Find a member's numbers; what it claims has to lie in the archive, before any memory is taken."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"member '{info.filename}' is compressed, expected a stored one")
    local = _LOCAL_HEADER.unpack(read(info.header_offset, info.header_offset + _LOCAL_HEADER.size))
    begin = info.header_offset + _LOCAL_HEADER.size + local[-2] + local[-1]
    head = io.BytesIO(read(begin, begin + min(4096, info.file_size)))
    if np.lib.format.read_magic(head) != (1, 0):
        raise ValueError(f"member '{info.filename}' is of another NPY version than 1.0")
    with _PARSING:
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    member = Member(begin + head.tell(), dtype, shape, fortran)
    whole = head.tell() + member.nbytes == info.file_size and member.offset + member.nbytes <= size
    sound = all(length >= 0 for length in shape) and math.prod(max(1, length) for length in shape) < _MOST
    if dtype.hasobject or not whole or not sound:
        raise ValueError(f"member '{info.filename}' does not hold what its header says")
    return member


def map_arrays(path: Path, found: Mapping[str, Member]) -> Bundle:
    """Map members of an NPZ on a local disk, read-only: nothing is read before it is used."""
    return {name: _mapped(path, member) for name, member in found.items()}


def _mapped(path: Path, member: Member) -> npt.NDArray[Any]:
    if member.nbytes == 0:
        return _shaped(np.empty(0, np.uint8), member)
    flat = np.memmap(path, mode="r", dtype=np.uint8, offset=member.offset, shape=(member.nbytes,))
    return _shaped(np.asarray(flat), member)


def stream_arrays(pieces: Iterable[bytes], found: Mapping[str, Member]) -> Bundle:
    """Fill arrays from an archive that passes by once, front to back, piece by piece."""
    flats = {name: np.empty(member.nbytes, np.uint8) for name, member in found.items()}
    position = 0
    for piece in pieces:
        data = np.frombuffer(piece, np.uint8)
        for name, member in found.items():
            low = max(position, member.offset)
            high = min(position + len(data), member.offset + member.nbytes)
            if low < high:
                flats[name][low - member.offset : high - member.offset] = data[
                    low - position : high - position
                ]
        position += len(data)
    return {name: _shaped(flats[name], member) for name, member in found.items()}


def read_rows(read: Callable[[int, int], bytes], member: Member, start: int, stop: int) -> npt.NDArray[Any]:
    """Read the rows ``start`` to ``stop`` of a member and nothing else.

    Raises
    ------
    DataError
        If the member has no rows that lie together (it is a scalar, or in Fortran order).
    """
    if not member.shape or (member.fortran and len(member.shape) > 1):
        raise DataError(f"an array of shape {member.shape} cannot be read by rows; read it whole")
    start, stop, _ = slice(start, stop).indices(member.shape[0])
    part = Member(member.offset, member.dtype, (max(0, stop - start), *member.shape[1:]), fortran=False)
    row = member.nbytes // max(1, member.shape[0])
    data = (
        read(member.offset + start * row, member.offset + start * row + part.nbytes) if part.nbytes else b""
    )
    return _shaped(np.frombuffer(data, np.uint8), part)


def _shaped(flat: npt.NDArray[np.uint8], member: Member) -> npt.NDArray[Any]:
    if member.dtype.itemsize == 0 or member.nbytes == 0:  # a view cannot be made from no bytes
        array: npt.NDArray[Any] = np.empty(member.shape, member.dtype)
    else:
        array = flat.view(member.dtype).reshape(member.shape, order="F" if member.fortran else "C")
    array.flags.writeable = False
    return array


class _Counting(io.RawIOBase):
    """An unseekable file over a sink, so that the archive is written front to back."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        self._sink.write(view)
        self.written += view.nbytes
        return view.nbytes

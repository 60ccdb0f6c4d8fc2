"""Bundles of arrays: NPZ with stored members, written front to back, mapped or read by ranges. Never pickle."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inception_loop.artifacts.backend import CHUNK, Sink
from inception_loop.artifacts.kind import Arrays, Bundle
from inception_loop.errors import ArtifactCorruptError, DataError

ALIGNMENT = 64
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_ZIP64_EXTRA = 20
_PAD = struct.Struct("<HHH")
_PAD_ID = 0xD935  # the registered "alignment" field of ZIP archives


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
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def check_arrays(declared: Arrays, arrays: Mapping[str, npt.NDArray[Any] | Blocks], where: str) -> None:
    """Refuse members that are not declared, missing, of another dtype or rank, or Python objects.

    Raises
    ------
    DataError
        With the member's name, what it is and what was declared.
    """
    for name, array in arrays.items():
        if np.dtype(array.dtype).hasobject:
            raise DataError(
                f"member '{name}' of {where} holds Python objects; expected numbers or text of fixed width"
            )
    if declared.members is None:
        return
    if set(arrays) != set(declared.members):
        raise DataError(
            f"{where} has the members {sorted(arrays)}; expected {sorted(declared.members)}; "
            "change the bundle or its declaration"
        )
    for name, member in declared.members.items():
        found = arrays[name]
        if np.dtype(found.dtype) != np.dtype(member.dtype) or len(found.shape) != len(member.dims):
            raise DataError(
                f"member '{name}' of {where} is {np.dtype(found.dtype)} of shape {tuple(found.shape)}; expected "
                f"{member.dtype} with the dimensions {member.dims}; convert it before it is written"
            )


def write_npz(sink: Sink, arrays: Mapping[str, npt.NDArray[Any] | Blocks]) -> None:
    """Write arrays as an NPZ of stored members, front to back, each 64-byte aligned, with no times in it."""
    out = _Counting(sink)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
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
    np.lib.format.write_array_header_1_0(
        header,
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape},
    )
    yield header.getvalue()
    rows = 0
    for block in array.blocks if isinstance(array, Blocks) else _rows(array):
        rows += block.shape[0] if block.ndim else 1
        if (block.shape[1:] if shape else ()) != shape[1:] or block.dtype != dtype:
            raise DataError(
                f"a block is {block.dtype} of shape {block.shape}; expected {dtype} rows of {shape[1:]}"
            )
        data = (
            memoryview(np.ascontiguousarray(block).reshape(-1).view(np.uint8))
            if block.size
            else memoryview(b"")
        )
        for start in range(0, data.nbytes, CHUNK):
            yield data[start : start + CHUNK]
    if shape and rows != shape[0]:
        raise DataError(f"the blocks of an array hold {rows} rows; expected {shape[0]}")


def _rows(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    if array.ndim == 0 or array.flags.c_contiguous:
        yield array
        return
    step = max(1, CHUNK * max(1, array.shape[0]) // max(1, array.nbytes))
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
        with zipfile.ZipFile(io.BufferedReader(_Ranges(read, size), 2**16)) as archive:
            infos = archive.infolist()
        return {info.filename.removesuffix(".npy"): _member(read, info, where) for info in infos}
    except (zipfile.BadZipFile, ValueError, struct.error, EOFError) as error:
        raise ArtifactCorruptError(
            f"{where} is not readable as NPZ ({error}); verify the store, then repair the artifact"
        ) from error


def _member(read: Callable[[int, int], bytes], info: zipfile.ZipInfo, where: str) -> Member:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ArtifactCorruptError(
            f"member '{info.filename}' of {where} is compressed; expected a stored one"
        )
    local = _LOCAL_HEADER.unpack(read(info.header_offset, info.header_offset + _LOCAL_HEADER.size))
    begin = info.header_offset + _LOCAL_HEADER.size + local[-2] + local[-1]
    head = io.BytesIO(read(begin, min(begin + 4096, begin + info.file_size)))
    version = np.lib.format.read_magic(head)
    if version != (1, 0):
        raise ValueError(f"NPY version {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    member = Member(begin + head.tell(), dtype, shape, fortran)
    if dtype.hasobject or head.tell() + member.nbytes != info.file_size:
        raise ValueError(f"member '{info.filename}' does not hold what its header says")
    return member


def map_arrays(path: Path, found: Mapping[str, Member]) -> dict[str, npt.NDArray[Any]]:
    """Map members of an NPZ on a local disk, read-only: nothing is read before it is used."""
    return {name: _mapped(path, member) for name, member in found.items()}


def _mapped(path: Path, member: Member) -> npt.NDArray[Any]:
    order: Any = "F" if member.fortran else "C"
    if member.nbytes == 0:
        return _frozen(np.empty(member.shape, member.dtype, order))
    flat = np.memmap(path, mode="r", dtype=np.uint8, offset=member.offset, shape=(member.nbytes,))
    return np.asarray(flat).view(member.dtype).reshape(member.shape, order=order)


def stream_arrays(pieces: Iterable[bytes], found: Mapping[str, Member]) -> dict[str, npt.NDArray[Any]]:
    """Fill arrays from an archive that passes by once, front to back, piece by piece."""
    flats = {name: np.empty(member.nbytes, np.uint8) for name, member in found.items()}
    position = 0
    for piece in pieces:
        data = np.frombuffer(piece, np.uint8)
        for name, member in found.items():
            low, high = max(position, member.offset), min(position + len(data), member.offset + member.nbytes)
            if low < high:
                flats[name][low - member.offset : high - member.offset] = data[
                    low - position : high - position
                ]
        position += len(data)
    return {
        name: _frozen(
            flats[name].view(member.dtype).reshape(member.shape, order="F" if member.fortran else "C")
        )
        for name, member in found.items()
    }


def upgraded(arrays: Bundle, declared: Arrays, version: int, where: str) -> Bundle:
    """Lift a bundle from the schema version that it was written in to the declared one."""
    if version > declared.version:
        raise ArtifactCorruptError(
            f"{where} has schema version {version}; this version of the project reads up to {declared.version}; "
            "update the project"
        )
    for step in range(version, declared.version):
        arrays = declared.upgrades[step](arrays)
    return arrays


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
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


class _Ranges(io.RawIOBase):
    """A seekable file over ranges of bytes."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        stop = min(self._size, self._position + len(buffer))
        if stop <= self._position:
            return 0
        data = self._read(self._position, stop)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

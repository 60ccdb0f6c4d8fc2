"""The files of an export: images as PNG, NPZ and HDF5, tables as Parquet and CSV, the same in each run."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from inception_loop.artifacts.npz import Blocks, write_npz
from inception_loop.errors import DataError
from inception_loop.stimuli.export_manifest import FileRecord, Format
from inception_loop.stimuli.export_session import IMAGES, Session

WRITERS = 4  # files written at a time: most of it is waiting for the disk
NPZ, HDF5 = "images.npz", "images.h5"
_ROWS = 256  # images in memory at a time
_COMPRESSION = 3  # of zlib: within 2 % of the smallest, at half the time
_ERRNO = re.compile(r"errno = (\d+)")
_Records = dict[str, FileRecord]


def png_bytes(image: npt.NDArray[np.uint8]) -> bytes:
    """Return an image as lossless 8-bit grey PNG; no chunk in it makes a viewer change its levels.

    Parameters
    ----------
    image : (h, w) uint8

    Examples
    --------
    >>> data = png_bytes(np.array([[0, 128, 255]], np.uint8))
    >>> b"gAMA" in data, np.asarray(Image.open(io.BytesIO(data))).tolist()
    (False, [[0, 128, 255]])
    """
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(out, "PNG", compress_level=_COMPRESSION)
    return out.getvalue()


def read_png(path: Path) -> npt.NDArray[np.uint8]:
    """Read an 8-bit grey PNG, (h, w).

    Raises
    ------
    DataError
        If it is none.
    """
    try:
        with warnings.catch_warnings(action="error"), Image.open(path, formats=["PNG"]) as image:
            if image.mode != "L":
                raise ValueError(f"it has the mode {image.mode}")
            return np.asarray(image, np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is no 8-bit grey PNG ({reason}); expected one; export again") from error


def space_of(session: Session, formats: tuple[Format, ...]) -> int:
    """Return the bytes that the files of an export take at most, roughly."""
    pixels = len(session.rows) * session.source.images[0].size
    rows = session.trials.height * 200 + session.conditions.height * 600
    return int(pixels * (len(formats) + 0.05)) + 4096 * len(session.rows) * ("png" in formats) + rows + 2**20


def write_files(
    session: Session,
    folder: Path,
    formats: tuple[Format, ...],
    on_progress: Callable[[int, int], None] | None = None,
) -> _Records:
    """Write a session's images and tables; every file is on the disk when this returns.

    Parameters
    ----------
    session, folder, formats
        What, where, as what.
    on_progress
        Receives ``(done, total)`` images.

    Returns
    -------
    Name → size and SHA-256 of each file.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    records: _Records = {}
    if "png" in formats:
        records |= _write_pngs(session, folder, on_progress)
    if "npz" in formats:
        records[NPZ] = _streamed(folder / NPZ, lambda file: _write_npz(session, file))
    if "hdf5" in formats:
        _write_hdf5(session, folder / HDF5)
        records[HDF5] = _synced(folder / HDF5)
    for name, table in tables_of(session, formats).items():
        records[f"{name}.parquet"] = write_file(folder / f"{name}.parquet", _parquet(table))
        records[f"{name}.csv"] = write_file(folder / f"{name}.csv", table.write_csv().encode())
    return records


def tables_of(session: Session, formats: tuple[Format, ...]) -> dict[str, pl.DataFrame]:
    """Return the tables of a session; without PNG they name no files."""
    tables = {"conditions": session.conditions, "trials": session.trials}
    return tables if "png" in formats else {name: t.drop("image_file") for name, t in tables.items()}


def write_file(path: Path, data: bytes) -> FileRecord:
    """Write a file and bring it to the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return FileRecord(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def record_of(path: Path) -> FileRecord:
    """Return the size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRecord(bytes=os.fstat(file.fileno()).st_size, sha256=digest)


def _write_pngs(session: Session, folder: Path, on_progress: Callable[[int, int], None] | None) -> _Records:
    (folder / IMAGES).mkdir()
    files = session.files

    def write(row: int) -> FileRecord:
        return write_file(folder / files[row], png_bytes(session.image(row)))

    records: _Records = {}
    with ThreadPoolExecutor(WRITERS, "export") as pool:
        try:
            for row, record in enumerate(pool.map(write, range(len(files)))):
                records[files[row]] = record
                if on_progress is not None:
                    on_progress(row + 1, len(files))
        except BaseException:  # an interrupt too: what is queued is not begun
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return records


def _blocks(session: Session) -> Iterator[npt.NDArray[np.uint8]]:
    for start in range(0, len(session.rows), _ROWS):
        yield np.ascontiguousarray(session.source.images[session.rows[start : start + _ROWS]])


def _shape(session: Session) -> tuple[int, int, int]:
    _, height, width = session.source.images.shape
    return len(session.rows), height, width


def _hashes(session: Session) -> list[str]:
    """Return of each image the hash of the first condition that it is shown in."""
    first = session.conditions.unique("image_row", keep="first").sort("image_row")
    return first["condition_hash"].to_list()


def _write_npz(session: Session, file: BinaryIO) -> None:
    images = Blocks(_shape(session), np.uint8, _blocks(session))
    write_npz(file, {"images": images, "condition_hash": np.array(_hashes(session))})


def _write_hdf5(session: Session, path: Path) -> None:
    with _said_by_the_system(), h5py.File(path, "x", libver=("v110", "v110")) as file:
        images = file.create_dataset("images", _shape(session), np.uint8)
        start = 0
        for block in _blocks(session):
            images[start : start + len(block)] = block
            start += len(block)
        images.attrs["unit"] = np.bytes_("grey level 0..255, as sent to the monitor")
        hashes = [one.encode() for one in _hashes(session)]
        dtype = h5py.string_dtype("utf-8", max(map(len, hashes)))
        file.create_dataset("condition_hash", data=np.array(hashes, dtype))


@contextmanager
def _said_by_the_system() -> Iterator[None]:
    """Raise what the HDF5 library says of a file that cannot be written as the system had said it."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        found = _ERRNO.search(str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number)) from error


def _streamed(path: Path, write: Callable[[BinaryIO], None]) -> FileRecord:
    with path.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    return record_of(path)


def _synced(path: Path) -> FileRecord:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return record_of(path)


def _parquet(table: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    table.write_parquet(out)
    return out.getvalue()

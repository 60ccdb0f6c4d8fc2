"""An NWB file opened without trust: nothing outside it is read, nothing in it is executed or unbounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError
from inception_loop.recordings.hdf5.heaps import check_heaps
from inception_loop.recordings.nwb.names import attribute, natural, number, scaling, text

LIMIT_BYTES = 4 * 2**30
"""Largest column, clock or behaviour trace; activity and images are read in blocks instead."""

_MAX_DEPTH = 8
_MAX_HOPS = 16


class NwbFile:
    """An open NWB file; every object is reached link by link, and a link that leaves the file is refused.

    Parameters
    ----------
    path
        The file. It stays open until `close`.

    Raises
    ------
    RecordingError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = h5py.File(path, "r")
        except OSError as error:
            raise self.refused(
                f"cannot be opened as HDF5 ({_line(error)}); expected a whole NWB file; fetch it again"
            ) from error
        try:
            check_heaps(path)
        except RecordingError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; activity that was not read is lost."""
        self.file.close()

    def refused(self, what: str) -> RecordingError:
        """Return the error that names the file and what is wrong with it."""
        return RecordingError(f"{self.path}: {what}")

    def check_version(self) -> None:
        """Refuse anything but NWB 2.

        Raises
        ------
        RecordingError
        """
        version = text(attribute(self.file, "nwb_version", ""))
        if not version.startswith("2"):
            said = f"NWB version {version}" if version else "NWB before version 2, or none at all"
            raise self.refused(f"is {said}; expected NWB 2; convert it with pynwb or NeuroConv")

    def child(self, group: h5py.Group, name: str, hops: int = _MAX_HOPS) -> h5py.Group | h5py.Dataset | None:
        """Return a member of a group, or None where there is none.

        Raises
        ------
        RecordingError
            If it, or its values, lie in another file.
        """
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise self.refused(
                f"{_joined(group, name)} links to {link.path!r} of another file, {link.filename!r}; "
                "expected everything inside the file; export it with its links copied in"
            )
        if isinstance(link, h5py.SoftLink):
            if hops == 0:
                raise self.refused(f"{_joined(group, name)} links in a circle; expected an object")
            return self._follow(self.file if link.path.startswith("/") else group, link.path, hops - 1)
        return self._inside(group[name])

    def at(self, place: str) -> h5py.Group | h5py.Dataset | None:
        """Return the object at a place such as ``/processing/ophys``, or None."""
        return self._follow(self.file, place, _MAX_HOPS)

    def _follow(self, start: h5py.Group, place: str, hops: int) -> h5py.Group | h5py.Dataset | None:
        found: h5py.Group | h5py.Dataset | None = start
        for name in place.split("/"):
            if name in ("", "."):
                continue
            if not isinstance(found, h5py.Group):
                return None
            found = self.child(found, name, hops)
        return found

    def _inside(self, found: object) -> h5py.Group | h5py.Dataset | None:
        if isinstance(found, h5py.Dataset):
            if found.is_virtual or found.external:
                raise self.refused(
                    f"{found.name} keeps its values in other files; expected them inside the file; "
                    "export it with its data copied in"
                )
            return found
        return found if isinstance(found, h5py.Group) else None

    def group(self, group: h5py.Group, name: str) -> h5py.Group | None:
        """Return a member that is a group, or None."""
        found = self.child(group, name)
        return found if isinstance(found, h5py.Group) else None

    def dataset(self, group: h5py.Group, name: str) -> h5py.Dataset | None:
        """Return a member that is a dataset, or None."""
        found = self.child(group, name)
        return found if isinstance(found, h5py.Dataset) else None

    def walk(self, top: str, strict: bool = True) -> Iterator[h5py.Group]:
        """Yield a place's groups, itself first, in the natural order of names; soft links are not entered.

        Parameters
        ----------
        top
            Place to begin; nothing is yielded where there is none.
        strict
            Whether a link to another file is refused; else it is passed over.
        """
        start = self.at(top)
        if isinstance(start, h5py.Group):
            yield from self._walk(start, strict, _MAX_DEPTH, set())

    def _walk(self, group: h5py.Group, strict: bool, depth: int, seen: set[int]) -> Iterator[h5py.Group]:
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            return
        seen.add(address)
        yield group
        names = list(group) if depth else []
        if not all(isinstance(name, str) for name in names):
            raise self.refused(f"{group.name} has members whose names are no text; expected an NWB file")
        for name in sorted(names, key=natural):
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.HardLink) or (isinstance(link, h5py.ExternalLink) and strict):
                found = self.child(group, name)
                if isinstance(found, h5py.Group):
                    yield from self._walk(found, strict, depth - 1, seen)

    def reference(self, reference: object, where: str) -> h5py.Group | h5py.Dataset:
        """Return what an object reference of the file points to."""
        found = None
        if isinstance(reference, h5py.Reference) and reference:
            found = self._inside(self.file[reference])
        if found is None:
            raise self.refused(f"{where} points to nothing; expected an object of the file; write it again")
        return found

    def whole(self, dataset: h5py.Dataset) -> h5py.Dataset:
        """Return a dataset of which every part was written: what was not would read as zeros.

        Raises
        ------
        RecordingError
            If it claims more numbers, or chunks, than the file holds.
        """
        if dataset.shape is None:
            raise self.refused(f"{dataset.name} is empty; expected numbers or text")
        size = int(dataset.size)
        if dataset.chunks is not None and size:
            pieces = zip(dataset.shape, dataset.chunks, strict=True)
            claimed, held, what = (
                math.prod(-(-n // c) for n, c in pieces),
                dataset.id.get_num_chunks(),
                "chunks",
            )
        else:
            claimed, held, what = size * dataset.dtype.itemsize, dataset.id.get_storage_size(), "bytes"
        if held < claimed:
            raise self.refused(
                f"{dataset.name} claims {claimed} {what} but the file holds {held} of them; expected all; "
                "write or fetch it again"
            )
        return dataset

    def array(self, dataset: h5py.Dataset) -> npt.NDArray[Any]:
        """Return a dataset of numbers, flags, records or text (then of type U), bounded in size.

        Raises
        ------
        RecordingError
            If it holds references or ragged values, or more than the limit.
        """
        size = int(self.whole(dataset).size) * max(1, dataset.dtype.itemsize)
        if size > LIMIT_BYTES:
            raise self.refused(f"{dataset.name} claims {size / 2**30:.0f} GiB; expected at most 4 GiB")
        if h5py.check_string_dtype(dataset.dtype) is not None:
            texts = np.asarray(dataset.asstr(errors="replace")[()])
            return np.array(texts.tolist(), dtype=np.str_) if texts.size else np.zeros(texts.shape, np.str_)
        if dataset.dtype.hasobject:
            raise self.refused(f"{dataset.name} holds {_held(dataset.dtype)}; expected numbers or text")
        return np.asarray(dataset[()])

    def column(self, table: h5py.Group, name: str) -> npt.NDArray[Any] | None:
        """Return a column of a table, one value (or array) a row; None where there is none.

        Raises
        ------
        RecordingError
            If it is ragged or has another length than the table.
        """
        found = self.dataset(table, name)
        if found is None:
            return None
        if f"{name}_index" in table:
            raise self.refused(f"{found.name} has several values a row; expected one")
        if not found.shape or found.shape[0] != self.height(table):
            raise self.refused(
                f"{found.name} has shape {found.shape} but its table {self.height(table)} rows; "
                "expected one value a row"
            )
        values = self.array(found)
        to = attribute(found, "elements", None)
        if to is not None:  # EnumData: the rows are codes of a list
            elements = self.reference(to, f"{found.name}:elements")
            values = self.array(elements)[values] if isinstance(elements, h5py.Dataset) else values
        return values

    def height(self, table: h5py.Group) -> int:
        """Return the number of rows of a table."""
        ids = self.dataset(table, "id")
        if ids is None or ids.ndim != 1:
            raise self.refused(f"{table.name} has no column id; expected a table with one id a row")
        return int(ids.shape[0])

    def values(self, series: h5py.Group) -> npt.NDArray[np.float64]:
        """Return the data of a time series in its unit (conversion and offset applied)."""
        found = self.dataset(series, "data")
        if found is None or found.dtype.kind not in "biuf":
            raise self.refused(f"{series.name} has no data of numbers; expected a time series")
        scale, offset = scaling(found)
        values: npt.NDArray[np.float64] = self.array(found).astype(np.float64) * scale + offset
        return values

    def times(self, series: h5py.Group, length: int) -> npt.NDArray[np.float64]:
        """Return the clock of a time series in s: its timestamps, else its starting time and rate.

        Parameters
        ----------
        series
            The time series.
        length
            Samples of its data, for a clock that is a rate.
        """
        stamps = self.dataset(series, "timestamps")
        if stamps is not None:
            if stamps.ndim != 1 or stamps.dtype.kind not in "iuf":
                raise self.refused(f"{stamps.name} holds {stamps.dtype} of shape {stamps.shape}; expected s")
            return self.array(stamps).astype(np.float64)
        start = self.dataset(series, "starting_time")
        rate = number(start, "rate", 0.0) if start is not None else 0.0
        if start is None or start.size != 1 or not 0 < rate < np.inf:
            raise self.refused(
                f"{series.name} has neither timestamps nor a starting_time with a rate above 0; "
                "expected a clock"
            )
        first = float(self.array(start).reshape(-1)[0])
        return first + np.arange(length, dtype=np.float64) / rate


def _joined(group: h5py.Group, name: str) -> str:
    return f"{str(group.name).rstrip('/')}/{name}"


def _held(dtype: np.dtype[Any]) -> str:
    return "object references" if h5py.check_ref_dtype(dtype) else "ragged values"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

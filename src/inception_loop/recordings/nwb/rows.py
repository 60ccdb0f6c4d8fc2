"""Activity stored time × rois, handed out unit by unit without ever lying in memory as a whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt

from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.names import scaling

PANEL_BYTES = 64 * 2**20
STRIPE_BYTES = 16 * 2**20


class TimeRows:
    """Rows of units over a dataset ``(times, units)`` or ``(times,)``; a slice is an array (units, times).

    The storage decides how it is read, so that every chunk is decompressed once in a pass over all units:
    where chunks are narrow, whole columns of chunks are read, and the last ones kept; where one chunk holds
    most units (or the file is not chunked), everything is turned once into a temporary file, units first.

    Parameters
    ----------
    nwb
        The open file; it must stay open as long as values are read.
    data
        Numbers; conversion and offset are applied.
    panel_bytes
        Largest part kept in memory.

    Attributes
    ----------
    shape : (units, times)
    """

    dtype = np.dtype(np.float32)

    def __init__(self, nwb: NwbFile, data: h5py.Dataset, panel_bytes: int = PANEL_BYTES) -> None:
        times, units = data.shape[0], data.shape[1] if data.ndim == 2 else 1
        self.shape = (units, times)
        self._nwb = nwb
        self._data = data
        self._scaling = scaling(data)
        self._panel: tuple[int, npt.NDArray[np.float32]] = (0, np.empty((0, times), np.float32))
        self._turned: IO[bytes] | None = None
        width = data.chunks[1] if data.chunks and data.ndim == 2 else units
        column_bytes = 4 * max(1, times)
        self._turn = min(width, units) * column_bytes > panel_bytes
        self._width = max(width, panel_bytes // column_bytes // width * width)

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.float32]:
        """Return the rows ``start:stop``, (units, times) float32.

        Raises
        ------
        RecordingError
            If the file turns out to be damaged there.
        """
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            return _picked(self, range(start, stop, step))
        found = np.empty((max(0, stop - start), self.shape[1]), np.float32)
        if not found.size:
            return found
        try:
            if self._turn:
                self._from_turned(found, start)
            else:
                self._from_panels(found, start)
        except (OSError, RuntimeError, ValueError) as error:
            raise self._nwb.refused(
                f"{self._data.name} cannot be read ({' '.join(str(error).split())[:200]}); "
                "expected a whole file (and room for a temporary one of its size); fetch it again"
            ) from error
        return found

    def _from_panels(self, found: npt.NDArray[np.float32], start: int) -> None:
        done = 0
        while done < len(found):
            first, panel = self._panel
            row = start + done
            if not first <= row < first + len(panel):
                first = row // self._width * self._width
                panel = self._read(first, min(first + self._width, self.shape[0]))
                self._panel = (first, panel)
            part = panel[row - first : row - first + len(found) - done]
            found[done : done + len(part)] = part
            done += len(part)

    def _read(self, first: int, stop: int) -> npt.NDArray[np.float32]:
        panel = np.empty((stop - first, self.shape[1]), np.float32)
        for begin, end in self._stripes(stop - first):
            panel[:, begin:end] = self._block(slice(begin, end), slice(first, stop))
        return panel

    def _from_turned(self, found: npt.NDArray[np.float32], start: int) -> None:
        if self._turned is None:
            self._turned = self._written()
        view = memoryview(found.view(np.uint8)).cast("B")  # type: ignore[arg-type]  # numpy's stubs
        offset, done = start * self.shape[1] * 4, 0
        while done < len(view):
            got = os.preadv(self._turned.fileno(), [view[done:]], offset + done)
            if got == 0:
                raise OSError("the temporary file is shorter than what was written")
            done += got

    def _written(self) -> IO[bytes]:
        turned = tempfile.TemporaryFile(prefix="inception-loop-")  # noqa: SIM115, open as long as this object
        try:
            row_bytes = self.shape[1] * 4
            for begin, end in self._stripes(self.shape[0]):
                block = np.ascontiguousarray(self._block(slice(begin, end), slice(0, self.shape[0])))
                for unit, part in enumerate(block):
                    if os.pwrite(turned.fileno(), part.data, unit * row_bytes + begin * 4) < part.nbytes:
                        raise OSError("no room for the temporary file")
        except BaseException:
            turned.close()
            raise
        return turned

    def _stripes(self, units: int) -> list[tuple[int, int]]:
        """Return stretches of time that hold whole chunks and about the bytes of a stripe."""
        whole = self._data.chunks[0] if self._data.chunks else 1
        step = max(1, STRIPE_BYTES // (4 * max(1, units)) // whole) * whole
        return [(begin, min(begin + step, self.shape[1])) for begin in range(0, self.shape[1], step)]

    def _block(self, times: slice, units: slice) -> npt.NDArray[Any]:
        block = self._data[times, units].T if self._data.ndim == 2 else self._data[times][None]
        scale, offset = self._scaling
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large is infinite, and refused
            if (scale, offset) != (1.0, 0.0):
                block = block.astype(np.float64) * scale + offset
            return np.asarray(block, np.float32)


class JoinedRows:
    """Rows of several planes one after the other, cut to the frames that all have.

    Examples
    --------
    >>> planes = JoinedRows([np.zeros((2, 5), np.float32), np.ones((1, 4), np.float32)])
    >>> planes.shape, planes[1:3].tolist()
    ((3, 4), [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    """

    dtype = np.dtype(np.float32)

    def __init__(self, planes: Sequence[TimeRows | npt.NDArray[np.float32]]) -> None:
        self._planes = tuple(planes)
        self.shape = (sum(plane.shape[0] for plane in planes), min(plane.shape[1] for plane in planes))

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.float32]:
        """Return the rows ``start:stop``, (units, frames) float32."""
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            return _picked(self, range(start, stop, step))
        found = np.empty((max(0, stop - start), self.shape[1]), np.float32)
        first = 0
        for plane in self._planes:
            begin, end = max(start, first), min(stop, first + plane.shape[0])
            if begin < end:
                found[begin - start : end - start] = plane[begin - first : end - first][:, : self.shape[1]]
            first += plane.shape[0]
        return found


def _picked(values: TimeRows | JoinedRows, rows: range) -> npt.NDArray[np.float32]:
    """Return every so many rows."""
    if not rows:
        return np.empty((0, values.shape[1]), np.float32)
    first = min(rows)
    return values[first : max(rows) + 1][[row - first for row in rows]]

"""Traces read at any instants: filtered only where it is asked for, every unit on its own clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from inception_loop.dataset.sampling import Floats
from inception_loop.recordings.recording import UnitRows

BLOCK_BYTES = 32 * 2**20
Singles = npt.NDArray[np.float32]


class TraceBlock(NamedTuple):
    """Traces of some units.

    Attributes
    ----------
    units : which of the units that are read, one after the other
    traces : (U, F) float32, without NaN
    filled : (U,) int64, samples of each that were NaN
    longest : (U,) int64, most of them in a row
    """

    units: slice
    traces: Singles
    filled: npt.NDArray[np.int64]
    longest: npt.NDArray[np.int64]


class TraceSampler:
    """Reads low-passed traces at fixed instants by linear interpolation, on each unit's own clock.

    A unit's samples were taken its delay later than the frame times. Only what the instants need is
    filtered: the window is applied at the few frames around each, as one sparse product for a block of
    units; at the ends of the recording it is cut and scaled to unit sum again. All sums are in float64, and
    those of a unit do not depend on who shares its block.

    Parameters
    ----------
    frame_times : (F,) float64, s
    instants : (T,) float64, s
        Inside the clock of every unit.
    delays : (N,) float64, s
        Of all units that will be read.
    window : (W,) float64
        Symmetric, unit sum.
    """

    def __init__(self, frame_times: Floats, instants: Floats, delays: Floats, window: Floats) -> None:
        self._frames = int(frame_times.size)
        last = _frame_before(frame_times, instants - delays.min())
        reach = int((last - _frame_before(frame_times, instants - delays.max())).max(initial=0))
        knots = np.clip(last[:, None] + np.arange(-reach, 2), 0, frame_times.size - 1)
        times = frame_times[knots]
        step = np.diff(times, axis=1)
        inside = step > 0  # frames before the first stand for it: nothing lies between
        self._rate = np.divide(1.0, step, out=np.zeros_like(step), where=inside)
        self._part = np.where(inside, (instants[:, None] - times[:, :-1]) * self._rate, 1.0)
        self._filter = _filter_at(knots.ravel(), frame_times.size, window)
        self._knots = knots.shape

    def __call__(self, traces: Singles, delays: Floats) -> Floats:
        """Read traces (U, F) of units with these delays (U,), s, at every instant: (T, U) float64."""
        smooth = self._filter @ np.ascontiguousarray(traces.T, np.float64)
        smooth = smooth.reshape(*self._knots, len(traces))
        out = np.zeros((self._knots[0], len(traces)))
        before: Floats | float = 1.0
        for interval in range(self._knots[1] - 1):
            # How far an instant has come through this interval between two frames, 0 to 1.
            after = self._rate[:, interval, None] * -delays
            after += self._part[:, interval, None]
            np.clip(after, 0, 1, out=after)
            out += (before - after) * smooth[:, interval]
            before = after
        out += before * smooth[:, -1]
        return out

    @property
    def bytes_of_a_unit(self) -> int:
        """Memory that a unit needs while it is read."""
        trials, knots = map(int, self._knots)
        return 16 * self._frames + 8 * trials * (knots + 4)


def _frame_before(frame_times: Floats, at: Floats) -> npt.NDArray[np.int64]:
    """Last frame at or before each instant that has another after it."""
    found = np.searchsorted(frame_times, at, side="right") - 1
    return np.clip(found, 0, max(0, frame_times.size - 2)).astype(np.int64)


def _filter_at(frames: npt.NDArray[np.int64], size: int, window: Floats) -> sp.csr_array:
    """Return the matrix (frames asked for × F) that filters traces at these frames."""
    half = window.size // 2
    under = frames[:, None] + np.arange(-half, half + 1)
    weights = np.where((under >= 0) & (under < size), window, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    starts = np.arange(0, under.size + 1, window.size)
    return sp.csr_array((weights.ravel(), np.clip(under, 0, size - 1).ravel(), starts), (len(frames), size))


def trace_blocks(
    traces: UnitRows, rows: npt.NDArray[np.int64], frames: int, bytes_of_a_unit: int
) -> Iterator[TraceBlock]:
    """Yield the traces of some units, NaNs interpolated, in blocks of bounded memory.

    The next block is read while the last one is worked on; blocks without a wanted unit are not read.

    Parameters
    ----------
    traces : (M, F) float32
    rows : (N,) int64
        Units to read, in ascending order.
    frames
        Samples to keep of each trace.
    bytes_of_a_unit
        What a unit needs while it is worked on.
    """
    step = max(1, BLOCK_BYTES // bytes_of_a_unit)
    starts = np.unique(rows // step) * step
    ends = [0, *np.searchsorted(rows, starts + step).tolist()]
    with ThreadPoolExecutor(1, "traces") as reader:
        ahead = deque(_read(reader, traces, starts[:1], step))
        for block, (begin, end) in enumerate(pairwise(ends)):
            found = np.asarray(ahead.popleft().result(), np.float32)
            ahead.extend(_read(reader, traces, starts[block + 1 : block + 2], step))
            wanted = rows[begin:end] - starts[block]
            chosen = found if wanted.size == len(found) else found[wanted]
            whole, filled, longest = fill_nans(chosen)
            yield TraceBlock(slice(begin, end), whole[:, :frames], filled, longest)


def _read(
    reader: ThreadPoolExecutor, traces: UnitRows, starts: npt.NDArray[np.int64], step: int
) -> list[Future[Singles]]:
    return [reader.submit(traces.__getitem__, slice(int(start), int(start) + step)) for start in starts]


def fill_nans(traces: Singles) -> tuple[Singles, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Interpolate NaNs of traces linearly; ends hold the nearest value, a trace of NaNs stays as it is.

    Parameters
    ----------
    traces : (U, F) float32

    Returns
    -------
    traces : (U, F) float32
        The same array if nothing is NaN.
    filled, longest : (U,) int64
        NaNs of each trace, and the most of them in a row.

    Examples
    --------
    >>> fill_nans(np.array([[np.nan, 1, np.nan, 3]], np.float32))
    (array([[1., 1., 2., 3.]], dtype=float32), array([2]), array([1]))
    """
    counts, longest = np.zeros((2, len(traces)), np.int64)
    units = np.flatnonzero(np.isnan(traces.min(axis=1)))
    if not units.size:
        return traces, counts, longest
    filled = traces.copy()
    for unit in units:
        gap = np.isnan(traces[unit])
        begin, end = runs(gap)
        counts[unit], longest[unit] = gap.sum(), (end - begin).max()
        if counts[unit] < gap.size:
            filled[unit, gap] = np.interp(np.flatnonzero(gap), np.flatnonzero(~gap), traces[unit, ~gap])
    return filled, counts, longest


def runs(marks: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where runs of marks begin and where they have ended.

    Examples
    --------
    >>> runs(np.array([True, False, True, True]))
    (array([0, 2]), array([1, 4]))
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marks, [False])).astype(np.int8)))
    return edges[::2], edges[1::2]


def common_gaps(
    traces: UnitRows, rows: npt.NDArray[np.int64], frames: int, most: float
) -> npt.NDArray[np.bool_]:
    """Mark the frames in runs of more than ``most`` that are NaN in every unit.

    Reads the first unit; the others, block after block, only where it has such a run.

    Parameters
    ----------
    traces : (M, F) float32
    rows : (N,) int64
        Units to look at, in ascending order.
    frames
        Samples to keep of each trace.
    most
        Frames in a row that are not marked.

    Returns
    -------
    (frames,) bool

    Examples
    --------
    >>> traces = np.array([[1, np.nan, 1, np.nan, np.nan], [1, np.nan, 1, np.nan, np.nan]], np.float32)
    >>> common_gaps(traces, np.arange(2), 5, 1.0).tolist()
    [False, False, False, True, True]
    """
    step = max(1, BLOCK_BYTES // (8 * max(1, traces.shape[1])))
    common = np.ones(frames, np.bool_)
    first, starts = int(rows[0]), range(0, traces.shape[0], step)
    for start, stop in [(first, first + 1), *((start, start + step) for start in starts)]:
        wanted = rows[(rows >= start) & (rows < stop)] - start
        if wanted.size:
            found = np.asarray(traces[start:stop], np.float32)[wanted, :frames]
            common &= np.isnan(found).all(axis=0)
            for begin, end in zip(*runs(common), strict=True):
                if end - begin <= most:
                    common[begin:end] = False
        if not common.any():
            break
    return common

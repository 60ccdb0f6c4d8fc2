"""Which series of an NWB file hold the activity, and the clock that its planes share."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np
import numpy.typing as npt

from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.names import attribute, type_of
from inception_loop.recordings.nwb.rows import JoinedRows, TimeRows
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import TraceKind, Traces

PLACES = {"/processing": True, "/analysis": False, "/acquisition": False}
"""Where activity is looked for, and whether a link to another file is refused there."""

_KIND_WORDS: tuple[tuple[TraceKind, tuple[str, ...]], ...] = (
    ("deconvolved", ("deconv", "event", "spks", "inferred")),
    ("spikes", ("spike",)),
    ("dff", ("dff", "dfoverf", "deltaf", "dfof")),
)
_NOT_CELLS = ("neuropil", "npil", "background")
_PREFERRED: tuple[TraceKind, ...] = ("deconvolved", "spikes", "dff")
_CLOCK_TOLERANCE_S = 1e-3
_CLOCK_TOLERANCE = 0.02


@dataclass(frozen=True)
class Series:
    """One series of activity: ``rows`` (n,) are the rows of the table of masks that its columns belong to."""

    group: h5py.Group
    kind: TraceKind | None
    table: h5py.Group
    rows: npt.NDArray[np.int64]

    @property
    def name(self) -> str:
        """Place in the file."""
        return str(self.group.name)


def find_series(nwb: NwbFile, options: ReadOptions) -> tuple[TraceKind, list[Series]]:
    """Return what the activity is, and the series that hold it (several: of several planes).

    ``options.names["traces"]`` names a series, or a group of them. Otherwise the series of ``trace_kind`` are
    taken; where that is not given, deconvolved activity before spikes before ΔF/F, told by the names of the
    series and of the groups around it. Series named neuropil or background are passed over.

    Raises
    ------
    RecordingError
        If there is none, none of a known kind, or several for the same masks.
    """
    found = [
        _series(nwb, group)
        for place, strict in PLACES.items()
        for group in nwb.walk(place, strict)
        if "data" in group and "rois" in group
    ]
    if not found:
        raise nwb.refused(
            "holds no activity: no RoiResponseSeries in /processing; expected deconvolved or ΔF/F traces"
        )
    chosen = _named(nwb, found, options) if "traces" in options.names else _preferred(nwb, found, options)
    kinds = {series.kind for series in chosen}
    kind = options.trace_kind or next(iter(kinds))
    if kind is None or (len(kinds) > 1 and options.trace_kind is None):
        raise nwb.refused(
            f"does not say what {_listed(chosen)} is; expected deconvolved, dff or spikes; "
            "set trace_kind (raw fluorescence is none of them: compute ΔF/F or deconvolve it first)"
        )
    _refuse_same_masks(nwb, chosen)
    return kind, chosen


def _series(nwb: NwbFile, group: h5py.Group) -> Series:
    region = nwb.dataset(group, "rois")
    to = None if region is None else attribute(region, "table", None)
    if region is None or to is None:
        raise nwb.refused(f"{group.name}/rois names no table of masks; expected a DynamicTableRegion")
    table = nwb.reference(to, f"{region.name}:table")
    rows = nwb.array(region)
    if not isinstance(table, h5py.Group) or rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise nwb.refused(f"{region.name} names no rows of a table; expected a DynamicTableRegion")
    height = nwb.height(table)
    if rows.size and (rows.min() < 0 or rows.max() >= height):
        raise nwb.refused(
            f"{region.name} points to row {rows.max()} of {table.name}, which has {height} rows; "
            "expected a row for each roi"
        )
    return Series(group, _kind(group), table, rows.astype(np.int64))


def _kind(group: h5py.Group) -> TraceKind | None:
    """Return what a series is by the nearest name that says it: its own, its group's, and so on."""
    names = [part for part in str(group.name).split("/")[2:] if part][::-1]
    for word in [*names, type_of(group), type_of(group.parent)]:
        plain = word.lower().replace("_", "").replace(" ", "").replace("-", "").replace("/", "")
        for kind, words in _KIND_WORDS:
            if any(part in plain for part in words):
                return kind
    return None


def _of_cells(series: Series) -> bool:
    return not any(word in series.name.lower() for word in _NOT_CELLS)


def _named(nwb: NwbFile, found: list[Series], options: ReadOptions) -> list[Series]:
    place = options.names["traces"].rstrip("/")
    chosen = [series for series in found if f"{series.name}/".startswith(f"{place}/")]
    if not chosen:
        raise nwb.refused(f"has no activity at {place!r} (names.traces); expected one of {_listed(found)}")
    return chosen


def _preferred(nwb: NwbFile, found: list[Series], options: ReadOptions) -> list[Series]:
    cells = [series for series in found if _of_cells(series)]
    kinds = {series.kind for series in cells}
    wanted = options.trace_kind or next((kind for kind in _PREFERRED if kind in kinds), None)
    # a file that names nothing is what the person says it is
    chosen = [series for series in cells if series.kind == wanted] or [s for s in cells if s.kind is None]
    if not chosen:
        raise nwb.refused(
            f"has no {wanted or 'known'} activity of cells, only {_listed(found)}; expected deconvolved or "
            "ΔF/F traces; name one as names.traces and say its trace_kind"
        )
    return chosen


def _refuse_same_masks(nwb: NwbFile, chosen: list[Series]) -> None:
    tables: dict[str, list[Series]] = {}
    for series in chosen:
        tables.setdefault(str(series.table.name), []).append(series)
    for table, several in tables.items():
        rows = np.concatenate([series.rows for series in several])
        if len(np.unique(rows)) == len(rows):
            continue
        if len(several) > 1:
            raise nwb.refused(
                f"has several series of the masks of {table}: {_listed(several)}; expected one; "
                "choose it as names.traces"
            )
        twice = int(rows[np.flatnonzero(np.bincount(rows)[rows] > 1)[0]])
        raise nwb.refused(
            f"{several[0].name}/rois names row {twice} of {table} twice; expected each mask once"
        )


def read_traces(nwb: NwbFile, chosen: list[Series]) -> tuple[Traces, list[float]]:
    """Return the activity of all series, read only when asked for, and each one's delay in ms.

    The frame times are those of the series that begins first. Planes scanned in turn run at one rate, so
    their clocks differ by a constant below one frame: the delay of all units of that plane.

    Raises
    ------
    RecordingError
        If data have another shape than rois and clock say, or planes run on different clocks.
    """
    parts, clocks = [], []
    for series in chosen:
        data = nwb.dataset(series.group, "data")
        if data is None:
            raise nwb.refused(f"{series.name} has no data; expected (times, rois)")
        _check_shape(nwb, data, len(series.rows))
        parts.append(TimeRows(nwb, nwb.whole(data)))
        clocks.append(nwb.times(series.group, data.shape[0]))
    values = parts[0] if len(parts) == 1 else JoinedRows(parts)
    clock, delays = _common_clock(nwb, chosen, clocks)
    return Traces(values, clock, clock), delays


def _check_shape(nwb: NwbFile, data: h5py.Dataset, units: int) -> None:
    if data.dtype.kind not in "iuf":
        raise nwb.refused(f"{data.name} holds {data.dtype}; expected numbers")
    if data.shape[1:] == (units,) or (data.ndim == 1 and units == 1):
        return
    turned = data.ndim == 2 and data.shape[0] == units
    hint = "it is stored the other way round: write its transpose" if turned else "write the file again"
    raise nwb.refused(
        f"{data.name} has shape {data.shape} for {units} rois; expected (times, {units}); {hint}"
    )


def _common_clock(
    nwb: NwbFile, chosen: list[Series], clocks: list[npt.NDArray[np.float64]]
) -> tuple[npt.NDArray[np.float64], list[float]]:
    if len(clocks) == 1 or min(len(clock) for clock in clocks) < 2:
        return clocks[0], [0.0] * len(clocks)
    first = min(range(len(clocks)), key=lambda plane: float(clocks[plane][0]))
    frames = min(len(clock) for clock in clocks)
    base = clocks[first][:frames]
    frame_s = float(np.median(np.diff(base)))
    delays = []
    for series, clock in zip(chosen, clocks, strict=True):
        later = clock[:frames] - base
        delay = float(np.median(later))
        spread = float(np.abs(later - delay).max())
        in_turn = -_CLOCK_TOLERANCE_S <= delay < frame_s and abs(len(clock) - len(clocks[first])) <= 1
        if not (in_turn and spread <= max(_CLOCK_TOLERANCE_S, _CLOCK_TOLERANCE * frame_s)):
            raise nwb.refused(
                f"{series.name} and {chosen[first].name} run on different clocks ({len(clock)} and "
                f"{len(clocks[first])} frames, {delay:.3f} s apart, give or take {spread:.3f} s); expected "
                "planes scanned in turn at one rate; import them one by one with names.traces"
            )
        delays.append(1000 * max(0.0, delay))
    return base, delays


def _listed(found: list[Series]) -> str:
    names = [f"{series.name} ({series.kind or 'of no known kind'})" for series in found]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")

"""Recordings in one HDF5 file, the project's own layout: read lazily, written atomically.

Layout (``/`` is the file; † has to be there; ``docs/formats/hdf5.md`` says more)::

    /                       attributes: format † "inception-loop-recording/1", trace_kind,
                            animal_id, session, scan_idx
    images †                (K, h, w) uint8 (or float32) grey levels
    traces †                (N, F) float32, units first; or, instead of traces and clocks,
    responses †             (T, N) float32, one value a trial and unit
    frame_times †           (F,) s, stimulus clock; with traces
    behavior_frame_times    (F,) s, behaviour clock of the same frames; with an eye or treadmill trace
    trials/… †              groups of one dataset a column, the tables of a Recording: units, fields, trials,
                            conditions, stack_coordinates, excluded_trials
    eye/…, treadmill/…      time, pupil_radius, center_x, center_y and time, velocity; or, without time, one
                            value a trial: pupil_radius, pupil_derivative, center_x, center_y and speed
    calibration/…           pixel_value, luminance; attribute timestamp
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError
from inception_loop.recordings.columns import NUMBER, TABLES, Values, as_float32, refuse_unknown, typed
from inception_loop.recordings.handed import Handed, completed
from inception_loop.recordings.hdf5.trust import (
    DAMAGE,
    FileRows,
    dataset,
    member,
    number_said,
    numbers,
    one_line,
    said,
    values,
)
from inception_loop.recordings.hdf5.writing import FORMAT, VERSION, write_hdf5
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import Recording, ScanKey

__all__ = ["NAME", "read", "recognises", "write_hdf5"]

NAME = "hdf5"

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ARRAYS = ("images", "traces", "responses")
_CLOCKS = ("frame_times", "behavior_frame_times")


def recognises(path: Path) -> bool:
    """Whether this is HDF5 and no NWB file; a damaged one counts, so that somebody says that it is."""
    try:
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return False
    except OSError:
        return False
    try:
        with h5py.File(path, "r", locking="best-effort") as opened:
            return "nwb_version" not in opened.attrs and "nwb_version" not in opened
    except DAMAGE:
        return True


def read(path: Path, scan: ScanKey, options: ReadOptions) -> Recording:
    """Read a recording; its traces stay in the file, which stays open as long as they are in use.

    Parameters
    ----------
    path
    scan
        What to call it; a file that says which scan it is has to agree.
    options
        What the file does not say.

    Raises
    ------
    RecordingError
        If it is damaged, of another format or version, leads out of itself (links, external storage,
        virtual datasets), holds something that nothing reads, or contradicts itself.
    """
    where = str(path)
    with one_line(where):
        file = h5py.File(path, "r", locking="best-effort")
        _check_format(file, where)
        _check_scan(file, scan, where)
        handed = _handed(file, where)
    return completed(handed, scan, options)


def _check_format(file: h5py.File, where: str) -> None:
    got = said(file, "format", where)
    name, _, version = (got or "").partition("/")
    if name != FORMAT:
        raise RecordingError(
            f"{where} has the attribute format = {got!r}; expected '{FORMAT}/{VERSION}'; "
            "docs/formats/hdf5.md says how to write one"
        )
    if version != str(VERSION):
        raise RecordingError(
            f"{where} is of version {version or '?'} of its format; expected version {VERSION}; "
            "write it again, or read it with the release that wrote it"
        )


def _check_scan(file: h5py.File, scan: ScanKey, where: str) -> None:
    for name, expected in scan.model_dump().items():
        got = number_said(file, name, where)
        if got not in (None, expected):
            raise RecordingError(
                f"{where} says {name} {got} but is read as scan {scan}; expected the same; "
                "name the scan as the file does, or remove the attribute"
            )


def _handed(file: h5py.File, where: str) -> Handed:
    refuse_unknown(file, (*_ARRAYS, *_CLOCKS, *TABLES), where)
    if "images" not in file:
        raise RecordingError(f"{where} has no images; expected a dataset images (images, height, width)")
    responses = numbers(file, "responses", where) if "responses" in file else None
    return Handed(
        where,
        numbers(file, "images", where),
        FileRows(dataset(file, "traces", where), where) if "traces" in file else None,
        None if responses is None else as_float32(responses, f"{where}: responses"),
        {name: _clock(file, name, where) for name in _CLOCKS if name in file},
        {name: _columns(file, name, where) for name in TABLES if name in file},
        said(file, "trace_kind", where),
    )


def _clock(file: h5py.File, name: str, where: str) -> npt.NDArray[np.float64]:
    return typed(values(file, name, where), NUMBER, f"{where}: {name}").to_numpy()


def _columns(file: h5py.File, name: str, where: str) -> dict[str, Values]:
    group = member(file, name, where)
    if not isinstance(group, h5py.Group):
        raise RecordingError(f"{where}: {name} is a dataset; expected a group of one dataset a column")
    refuse_unknown(group, TABLES[name], f"{where}: {name}")
    columns = {column: values(group, column, where) for column in group}
    stamp = said(group, "timestamp", where)
    if name == "calibration" and stamp is not None and "pixel_value" in columns:
        columns["timestamp"] = pl.Series([stamp] * columns["pixel_value"].shape[0], dtype=pl.String)
    return columns

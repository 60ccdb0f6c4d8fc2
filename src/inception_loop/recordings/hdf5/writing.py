"""Writing a recording into one HDF5 file, the layout that `inception_loop.recordings.hdf5` reads."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError
from inception_loop.recordings.columns import TABLES, TEXT, table
from inception_loop.recordings.recording import (
    CONDITION_COLUMNS,
    EXCLUDED_COLUMNS,
    FIELD_COLUMNS,
    STACK_COLUMNS,
    TRIAL_COLUMNS,
    UNIT_COLUMNS,
    Recording,
    Traces,
    UnitRows,
)

FORMAT, VERSION = "inception-loop-recording", 1

_WRITTEN_TABLES = {
    "units": (*UNIT_COLUMNS, "brain_area", "layer"),
    "fields": FIELD_COLUMNS,
    "trials": TRIAL_COLUMNS,
    "conditions": (*CONDITION_COLUMNS, "tier"),
    "stack_coordinates": STACK_COLUMNS,
    "excluded_trials": EXCLUDED_COLUMNS,
}
_FRAMES_A_CHUNK = 2**15
_CHUNK_BYTES = 2**20
_BLOCK_BYTES = 2**25
_UNITS = {
    **dict.fromkeys(("frame_times", "clear_flip", "onset_flip", "offset_flip"), "s, stimulus clock"),
    **dict.fromkeys(("behavior_frame_times", "time"), "s, behaviour clock"),
    **dict.fromkeys(("um_x", "um_y", "um_z", "um_height", "um_width", "x", "y", "z"), "µm"),
    **dict.fromkeys(("stack_x", "stack_y", "stack_z"), "µm"),
    **dict.fromkeys(("px_x", "px_y", "px_height", "px_width"), "px"),
    **dict.fromkeys(("center_x", "center_y"), "px of the eye camera"),
    "pupil_radius": "px of the eye camera, or as the source has it",
    "pupil_derivative": "unit of pupil_radius / s",
    "velocity": "cm/s",
    "speed": "cm/s, or as the source has it",
    "ms_delay": "ms",
    "pixel_value": "grey level 0..255",
    "luminance": "cd/m²",
    "images": "grey level 0..255",
    "traces": "activity, arbitrary unit",
    "responses": "activity, arbitrary unit",
}


def write_hdf5(recording: Recording, path: Path) -> None:
    """Write a recording, to hand it on: `hdf5.read` gives the same one back.

    The file appears under its name when it is whole; one of that name is replaced. The same recording makes
    the same bytes. Traces pass by in blocks. Columns that a `Recording` does not declare are left out.

    Parameters
    ----------
    recording
    path

    Raises
    ------
    RecordingError
        If the file cannot be written, or a text holds a NUL character.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.writing-{uuid.uuid4().hex}")
    try:
        with h5py.File(temporary, "w", libver=("v110", "v110")) as file:
            _write(file, recording)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RecordingError(f"{path} cannot be written ({reason}); expected a folder with space") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write(file: h5py.File, recording: Recording) -> None:
    _say(file, "format", f"{FORMAT}/{VERSION}")
    _say(file, "trace_kind", recording.trace_kind)
    for name, number in recording.scan.model_dump().items():
        file.attrs[name] = number
    activity = recording.activity
    if isinstance(activity, Traces):
        _write_traces(file, activity.values)
        _write_column(file, "frame_times", activity.frame_times)
        _write_column(file, "behavior_frame_times", activity.behavior_frame_times)
    else:
        _write_array(file, "responses", np.asarray(activity.values, np.float32))
    _write_array(file, "images", recording.images)
    for name in _WRITTEN_TABLES:
        _write_table(file, name, getattr(recording, name))
    for name in ("eye", "treadmill"):
        part = getattr(recording, name)
        for column, array in vars(part).items() if part is not None else ():
            _write_column(file.require_group(name), column, array)
    if recording.calibration is not None:
        group = file.create_group("calibration")
        _say(group, "timestamp", recording.calibration.timestamp)
        _write_column(group, "pixel_value", recording.calibration.pixel_value)
        _write_column(group, "luminance", recording.calibration.luminance)


def _write_table(file: h5py.File, name: str, frame: pl.DataFrame) -> None:
    columns = {column: frame[column] for column in _WRITTEN_TABLES[name] if column in frame.columns}
    written = table(name, columns, "the recording")
    group = file.create_group(name)
    for column in columns:
        if TABLES[name][column] == TEXT:
            _write_text(group, column, written[column].fill_null("").to_list())
        else:
            _write_column(group, column, written[column].to_numpy())


def _write_traces(file: h5py.File, rows: UnitRows) -> None:
    n, frames = rows.shape
    chunk = _chunk_of_units(n, frames)
    written = _create(file, "traces", (n, frames), np.float32, chunk)
    step = max(1, _BLOCK_BYTES // (4 * max(1, frames)) // chunk[0]) * chunk[0]
    for start in range(0, n, step):
        written[start : start + step] = rows[start : start + step]


def _chunk_of_units(n: int, frames: int) -> tuple[int, int]:
    """Return the shape of a chunk: whole rows, cut evenly where they are long, a power of two of them."""
    long = max(1, -(-frames // -(-frames // _FRAMES_A_CHUNK))) if frames else 1
    units = max(1, _CHUNK_BYTES // (4 * long))
    return max(1, min(n, 1 << (units.bit_length() - 1))), long


def _write_array(file: h5py.File, name: str, array: npt.NDArray[Any]) -> None:
    row = max(1, array[:1].nbytes)
    chunk = (max(1, min(len(array), _CHUNK_BYTES // row)), *array.shape[1:])
    _create(file, name, array.shape, array.dtype, chunk)[...] = array


def _write_column(group: h5py.Group, name: str, column: npt.NDArray[Any]) -> None:
    _create(group, name, column.shape, column.dtype, (max(1, len(column)),))[...] = column


def _write_text(group: h5py.Group, name: str, texts: list[str]) -> None:
    if any("\0" in text for text in texts):
        raise RecordingError(f"a text of {group.name}/{name} holds a NUL character; expected none")
    encoded = [text.encode() for text in texts]
    dtype = h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))
    _create(group, name, (len(texts),), dtype, (max(1, len(texts)),))[...] = np.array(encoded, dtype)


def _create(
    group: h5py.Group, name: str, shape: tuple[int, ...], dtype: Any, chunk: tuple[int, ...]
) -> h5py.Dataset:
    """Create a dataset whose chunks carry checksums, so that damage is never taken for data."""
    chunked = {} if 0 in shape else {"chunks": chunk, "fletcher32": True}
    made = group.create_dataset(name, shape, dtype, **chunked)
    if name in _UNITS:
        _say(made, "unit", _UNITS[name])
    return made


def _say(of: h5py.Group | h5py.Dataset, name: str, text: str) -> None:
    """Write an attribute as text of fixed length: that of any length lies in a heap without a checksum."""
    if "\0" in text:
        raise RecordingError(f"{name} {text!r} holds a NUL character; expected none")
    encoded = text.encode()
    of.attrs.create(name, encoded, dtype=h5py.string_dtype("utf-8", max(1, len(encoded))))

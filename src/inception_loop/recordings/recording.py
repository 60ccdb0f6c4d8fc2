"""A recording as a rig hands it over: traces and clocks, trials, images, cells. No rule of analysis here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.errors import RecordingError

TraceKind = Literal["deconvolved", "dff", "spikes"]

UNIT_COLUMNS = ("unit_id", "field", "px_x", "px_y", "um_x", "um_y", "um_z", "ms_delay", "mask_type")
FIELD_COLUMNS = ("field", "px_height", "px_width", "um_height", "um_width", "x", "y", "z")
TRIAL_COLUMNS = ("trial_idx", "condition_hash", "clear_flip", "onset_flip", "offset_flip")
CONDITION_COLUMNS = ("condition_hash", "image_class", "image_id", "source_id", "image_row")
STACK_COLUMNS = ("stack_session", "stack_idx", "field", "unit_id", "stack_x", "stack_y", "stack_z")
EXCLUDED_COLUMNS = ("trial_idx", "reason")


class ScanKey(Config):
    """Identity of a scan: one imaging session of one field of view.

    Examples
    --------
    >>> str(ScanKey(animal_id=17, session=1, scan_idx=2))
    '17-1-2'
    """

    animal_id: int = Field(ge=0, description="Number of the animal.")
    session: int = Field(ge=0, description="Session of the animal (a day at the rig).")
    scan_idx: int = Field(ge=0, description="Scan within the session.")

    def __str__(self) -> str:
        return f"{self.animal_id}-{self.session}-{self.scan_idx}"


@dataclass(frozen=True)
class EyeTrace:
    """Eye camera on the behaviour clock; NaN where the pupil was not tracked.

    Attributes
    ----------
    time : (E,) float64, s
    pupil_radius : (E,) float64, px of the eye camera
    center_x, center_y : (E,) float64, px of the eye camera
    """

    time: npt.NDArray[np.float64]
    pupil_radius: npt.NDArray[np.float64]
    center_x: npt.NDArray[np.float64]
    center_y: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TreadmillTrace:
    """Running on the behaviour clock: ``time`` (V,) s and ``velocity`` (V,) cm/s."""

    time: npt.NDArray[np.float64]
    velocity: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Measured luminance of the rig's monitor.

    Attributes
    ----------
    pixel_value : (P,) float64, grey level 0..255
    luminance : (P,) float64, cd/m²
    timestamp : str, ISO 8601
    """

    pixel_value: npt.NDArray[np.float64]
    luminance: npt.NDArray[np.float64]
    timestamp: str


@dataclass(frozen=True)
class Recording:
    """Everything that one scan hands over. `validate` is called on construction.

    Attributes
    ----------
    scan : ScanKey
    trace_kind : what the traces are; deconvolved activity is what every later stage expects
    traces : (N, F) float32, one row a segmented mask, in the order of ``units``
    frame_times : (F,) float64, s, stimulus clock
    behavior_frame_times : (F,) float64, s, behaviour clock of the same frames
    eye, treadmill : None where not recorded
    trials : table, one row a presentation in order: ``trial_idx`` i64, ``condition_hash`` str,
        ``clear_flip``, ``onset_flip``, ``offset_flip`` f64 s on the stimulus clock (NaN: no such flip)
    conditions : table, one row a stimulus condition: ``condition_hash``, ``image_class`` str,
        ``image_id`` i64, ``source_id`` str (photograph it was cut from), ``image_row`` i64 into ``images``
    images : (K, h, w) uint8, grey levels as sent to the monitor
    units : table ``unit_id, field`` i64, ``px_x, px_y`` px, ``um_x, um_y, um_z`` µm, ``ms_delay`` ms,
        ``mask_type`` str; optionally ``brain_area``, ``layer`` str
    fields : table ``field`` i64, ``px_height, px_width`` px, ``um_height, um_width`` µm,
        centre ``x, y, z`` µm
    stack_coordinates : table ``stack_session, stack_idx, field, unit_id`` i64, ``stack_x, stack_y,
        stack_z`` µm; empty where nothing is registered
    calibration : None where not measured
    excluded_trials : table ``trial_idx`` i64, ``reason`` str
    """

    scan: ScanKey
    trace_kind: TraceKind
    traces: npt.NDArray[np.float32]
    frame_times: npt.NDArray[np.float64]
    behavior_frame_times: npt.NDArray[np.float64]
    trials: pl.DataFrame
    conditions: pl.DataFrame
    images: npt.NDArray[np.uint8]
    units: pl.DataFrame
    fields: pl.DataFrame
    eye: EyeTrace | None = None
    treadmill: TreadmillTrace | None = None
    stack_coordinates: pl.DataFrame = field(default_factory=lambda: _empty(STACK_COLUMNS))
    calibration: Calibration | None = None
    excluded_trials: pl.DataFrame = field(default_factory=lambda: _empty(EXCLUDED_COLUMNS))

    def __post_init__(self) -> None:
        validate(self)


def _empty(columns: tuple[str, ...]) -> pl.DataFrame:
    floats = {"stack_x", "stack_y", "stack_z"}
    return pl.DataFrame(
        schema={c: pl.Float64 if c in floats else pl.String if c == "reason" else pl.Int64 for c in columns}
    )


def validate(recording: Recording) -> None:
    """Refuse a recording that contradicts itself, naming scan, part, unit or trial.

    Raises
    ------
    RecordingError
        On the first contradiction found.
    """
    _check_tables(recording)
    _check_traces(recording)
    _check_behavior(recording)
    _check_stimuli(recording)


def _fail(recording: Recording, what: str) -> None:
    raise RecordingError(f"scan {recording.scan}: {what}")


def _check_tables(r: Recording) -> None:
    for name, columns in (
        ("units", UNIT_COLUMNS),
        ("fields", FIELD_COLUMNS),
        ("trials", TRIAL_COLUMNS),
        ("conditions", CONDITION_COLUMNS),
        ("stack_coordinates", STACK_COLUMNS),
        ("excluded_trials", EXCLUDED_COLUMNS),
    ):
        missing = [c for c in columns if c not in getattr(r, name).columns]
        if missing:
            _fail(r, f"table {name} lacks column {missing[0]!r}; expected {', '.join(columns)}")
    for name, key in (("units", "unit_id"), ("trials", "trial_idx"), ("conditions", "condition_hash")):
        repeated = getattr(r, name)[key].is_duplicated()
        if repeated.any():
            _fail(
                r, f"{key} {getattr(r, name)[key].filter(repeated)[0]} stands twice in {name}; expected once"
            )
    strays = r.units.filter(~pl.col("field").is_in(r.fields["field"].to_list()))
    if strays.height:
        _fail(
            r, f"unit {strays['unit_id'][0]} lies in field {strays['field'][0]}, which fields does not list"
        )


def _check_traces(r: Recording) -> None:
    if r.traces.ndim != 2 or r.traces.shape[0] != r.units.height:
        _fail(r, f"traces have shape {r.traces.shape}; expected ({r.units.height} units, frames)")
    if len(r.frame_times) != len(r.behavior_frame_times):
        _fail(
            r,
            f"{len(r.frame_times)} frame times but {len(r.behavior_frame_times)} behaviour frame times; "
            "expected one of each a frame; export both clocks over the same frames",
        )
    if abs(r.traces.shape[1] - len(r.frame_times)) > 1:
        _fail(
            r,
            f"traces have {r.traces.shape[1]} frames but there are {len(r.frame_times)} frame times; "
            "expected the same number, or one more or less (a frame cut off at the end)",
        )
    for name in ("frame_times", "behavior_frame_times"):
        _check_clock(r, name, getattr(r, name))
    lost = np.isnan(r.traces).all(axis=1)
    if lost.any():
        _fail(r, f"the trace of unit {r.units['unit_id'][int(lost.argmax())]} is all NaN; leave the unit out")


def _check_clock(r: Recording, name: str, clock: npt.NDArray[np.float64]) -> None:
    if clock.ndim != 1 or len(clock) < 2 or not np.isfinite(clock).all():
        _fail(r, f"{name} has shape {clock.shape} or holds NaN; expected at least 2 finite times in s")
    back = np.diff(clock) <= 0
    if back.any():
        _fail(r, f"{name} does not increase at sample {int(back.argmax()) + 1}; expected rising times in s")


def _check_behavior(r: Recording) -> None:
    traces: list[tuple[str, npt.NDArray[np.float64], tuple[npt.NDArray[np.float64], ...]]] = []
    if r.eye is not None:
        traces.append(("eye", r.eye.time, (r.eye.pupil_radius, r.eye.center_x, r.eye.center_y)))
    if r.treadmill is not None:
        traces.append(("treadmill", r.treadmill.time, (r.treadmill.velocity,)))
    for name, time, values in traces:
        _check_clock(r, f"{name}.time", time)
        for value in values:
            if value.shape != time.shape:
                _fail(r, f"{name} has {len(time)} times but {len(value)} values; expected one value a time")


def _check_stimuli(r: Recording) -> None:
    if r.trials.height == 0:
        _fail(r, "no trials; expected at least one presentation")
    if r.images.ndim != 3 or len(r.images) == 0:
        _fail(
            r, f"images have shape {r.images.shape}; expected (images, height, width) with at least 1 image"
        )
    rows = r.conditions["image_row"]
    if rows.null_count() or (rows < 0).any() or (rows >= len(r.images)).any():
        _fail(
            r,
            f"conditions point outside the {len(r.images)} images; expected image_row 0..{len(r.images) - 1}",
        )
    unknown = r.trials.filter(~pl.col("condition_hash").is_in(r.conditions["condition_hash"].to_list()))
    if unknown.height:
        _fail(
            r,
            f"trial {unknown['trial_idx'][0]} shows condition {unknown['condition_hash'][0]!r}, "
            "which conditions does not list",
        )

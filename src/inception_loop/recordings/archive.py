"""Recordings in the artifact store: the way in, and the way out part by part."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.kind import Bundle
from inception_loop.artifacts.npz import Blocks
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt
from inception_loop.recordings.kind import NONE, RECORDING
from inception_loop.recordings.recording import (
    CONDITION_COLUMNS,
    EXCLUDED_COLUMNS,
    FIELD_COLUMNS,
    STACK_COLUMNS,
    TRIAL_COLUMNS,
    UNIT_COLUMNS,
    Calibration,
    EyeTrace,
    Recorded,
    ScanKey,
    TraceKind,
    Traces,
    TreadmillTrace,
    TrialEye,
    TrialResponses,
    TrialTreadmill,
    unit_blocks,
)

__all__ = ["RECORDING", "StoredRecording", "lacks", "load_recording", "save_recording"]

_COLUMNS: dict[str, tuple[str, ...]] = {
    "units": (*UNIT_COLUMNS, "brain_area", "layer"),
    "fields": FIELD_COLUMNS,
    "trials": TRIAL_COLUMNS,
    "conditions": (*CONDITION_COLUMNS, "tier"),
    "stack_coordinates": STACK_COLUMNS,
    "excluded_trials": EXCLUDED_COLUMNS,
}
_KNOWN_TO_SOME = ("brain_area", "layer", "tier")


def save_recording(attempt: Attempt, recording: Recorded) -> None:
    """Write every payload of a recording; columns that the kind does not declare are left out.

    Traces pass through in blocks of units, so that those of a reader are never whole in memory.

    Parameters
    ----------
    attempt
        Of kind `RECORDING`.
    recording
    """
    attempt.write_table("scan", _scan_row(recording))
    for name in _COLUMNS:
        attempt.write_table(name, _declared_columns(getattr(recording, name), name))
    attempt.write_arrays("traces", _activity_members(recording.activity))
    attempt.write_arrays("behavior", _behavior_members(recording))
    attempt.write_arrays("images", {"images": recording.images})
    attempt.report(
        n_masks=recording.units.height,
        n_trials=recording.trials.height,
        n_excluded=recording.excluded_trials.height,
        lacks=lacks(recording),
    )


def lacks(recording: Recorded) -> list[str]:
    """Name what a recording does not have, so that a named policy must stand for it later.

    Returns
    -------
    Some of ``traces``, ``flips``, ``eye``, ``treadmill``, ``positions``, ``areas``, ``layers``, ``repeats``,
    ``stack_coordinates``, ``calibration``.
    """
    units = recording.units.select(pl.col("um_x", "um_y", "um_z", "px_x", "px_y").cast(pl.Float64))
    without = {
        "traces": isinstance(recording.activity, TrialResponses),
        "flips": bool(recording.trials["onset_flip"].cast(pl.Float64).fill_null(np.nan).is_nan().all()),
        "eye": recording.eye is None,
        "treadmill": recording.treadmill is None,
        "positions": bool(
            units.select(pl.any_horizontal(pl.all().fill_null(np.nan).is_nan())).to_series().any()
        ),
        "areas": _unknown(recording.units, "brain_area"),
        "layers": _unknown(recording.units, "layer") and bool(units["um_z"].fill_null(np.nan).is_nan().any()),
        "repeats": not recording.trials["condition_hash"].is_duplicated().any(),
        "stack_coordinates": recording.stack_coordinates.height == 0,
        "calibration": recording.calibration is None,
    }
    return [name for name, lacking in without.items() if lacking]


def load_recording(store: ArtifactStore, ref: ArtifactRef) -> StoredRecording:
    """Open a recording of the store.

    Raises
    ------
    ArtifactNotFoundError
        If nothing stands at the reference.
    """
    store.manifest(ref)
    return StoredRecording(store, ref)


def _unknown(units: pl.DataFrame, name: str) -> bool:
    return name not in units.columns or units[name].null_count() > 0


class StoredRecording:
    """A recording in the store: a `Recorded`, of which each part is read when it is first asked for.

    It was validated when it was written, and is not again. Traces stay where they are until blocks of units
    are asked for; images are mapped where the store is on a local disk.
    """

    def __init__(self, store: ArtifactStore, ref: ArtifactRef) -> None:
        self._store = store
        self._ref = ref

    @cached_property
    def _scan(self) -> dict[str, Any]:
        return self._store.table(self._ref, "scan").row(0, named=True)

    @cached_property
    def _behavior(self) -> Bundle:
        return self._store.arrays(self._ref, "behavior")

    def _table(self, name: str) -> pl.DataFrame:
        """Read a table; optional columns of which nothing is known are left out."""
        table = self._store.table(self._ref, name)
        unknown = [c for c in _KNOWN_TO_SOME if c in table.columns and table[c].null_count() == table.height]
        return table.drop(unknown)

    @property
    def scan(self) -> ScanKey:
        """The scan."""
        return ScanKey(**{name: self._scan[name] for name in ScanKey.model_fields})

    @property
    def trace_kind(self) -> TraceKind:
        """What the activity is."""
        kind: TraceKind = self._scan["trace_kind"]
        return kind

    @cached_property
    def activity(self) -> Traces | TrialResponses:
        """Traces with their clocks, or responses binned per trial."""
        if self._scan["activity"] == "trials":
            return TrialResponses(self._store.block(self._ref, "traces", "responses")[:])
        clocks = ("frame_times", "behavior_frame_times")
        return Traces(
            self._store.block(self._ref, "traces", "traces"),
            *(self._store.block(self._ref, "traces", name)[:] for name in clocks),
        )

    @cached_property
    def trials(self) -> pl.DataFrame:
        """Presentations in order."""
        return self._table("trials")

    @cached_property
    def conditions(self) -> pl.DataFrame:
        """What was shown."""
        return self._table("conditions")

    @cached_property
    def images(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
        """Images as sent to the monitor."""
        return self._store.arrays(self._ref, "images")["images"]

    @cached_property
    def units(self) -> pl.DataFrame:
        """Segmented masks."""
        return self._table("units")

    @cached_property
    def fields(self) -> pl.DataFrame:
        """Imaging fields."""
        return self._table("fields")

    @cached_property
    def stack_coordinates(self) -> pl.DataFrame:
        """Places in structural stacks."""
        return self._table("stack_coordinates")

    @cached_property
    def excluded_trials(self) -> pl.DataFrame:
        """Trials that no later stage may use."""
        return self._table("excluded_trials")

    @cached_property
    def eye(self) -> EyeTrace | TrialEye | None:
        """Pupil, as a trace or per trial."""
        form, values = self._scan["eye"], self._behavior
        if form == "trials":
            return TrialEye(*(values[f"trial_{name.name}"] for name in dataclasses.fields(TrialEye)))
        trace = EyeTrace(*(values[name] for name in ("eye_time", "pupil_radius", "center_x", "center_y")))
        return trace if form == "trace" else None

    @cached_property
    def treadmill(self) -> TreadmillTrace | TrialTreadmill | None:
        """Running, as a trace or per trial."""
        form, values = self._scan["treadmill"], self._behavior
        if form == "trials":
            return TrialTreadmill(values["trial_speed"])
        return TreadmillTrace(values["treadmill_time"], values["velocity"]) if form == "trace" else None

    @cached_property
    def calibration(self) -> Calibration | None:
        """Measured luminance of the monitor."""
        timestamp, values = self._scan["calibrated"], self._behavior
        if timestamp is None:
            return None
        return Calibration(values["pixel_value"], values["luminance"], timestamp)


def _form(part: object | None, trace: type) -> str:
    return "none" if part is None else "trace" if isinstance(part, trace) else "trials"


def _scan_row(recording: Recorded) -> pl.DataFrame:
    row: dict[str, Any] = {
        **recording.scan.model_dump(),
        "trace_kind": recording.trace_kind,
        "calibrated": recording.calibration.timestamp if recording.calibration else None,
        "activity": "traces" if isinstance(recording.activity, Traces) else "trials",
        "eye": _form(recording.eye, EyeTrace),
        "treadmill": _form(recording.treadmill, TreadmillTrace),
    }
    return pl.DataFrame([row], schema_overrides={"calibrated": pl.String})


def _declared_columns(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    absent = [c for c in _KNOWN_TO_SOME if c in _COLUMNS[name] and c not in frame.columns]
    return frame.with_columns(pl.lit(None, dtype=pl.String).alias(c) for c in absent).select(_COLUMNS[name])


def _activity_members(activity: Traces | TrialResponses) -> dict[str, npt.NDArray[Any] | Blocks]:
    if isinstance(activity, TrialResponses):
        empty = np.zeros((0, 0), np.float32)
        return {
            "traces": empty,
            "responses": activity.values,
            "frame_times": NONE,
            "behavior_frame_times": NONE,
        }
    return {
        "traces": Blocks(activity.values.shape, np.dtype(np.float32), unit_blocks(activity.values)),
        "responses": np.zeros((0, 0), np.float32),
        "frame_times": activity.frame_times,
        "behavior_frame_times": activity.behavior_frame_times,
    }


def _behavior_members(recording: Recorded) -> dict[str, npt.NDArray[np.float64]]:
    eye, treadmill = recording.eye, recording.treadmill
    trace = eye if isinstance(eye, EyeTrace) else EyeTrace(NONE, NONE, NONE, NONE)
    trials = eye if isinstance(eye, TrialEye) else TrialEye(NONE, NONE, NONE, NONE)
    running = treadmill if isinstance(treadmill, TreadmillTrace) else TreadmillTrace(NONE, NONE)
    calibration = recording.calibration or Calibration(NONE, NONE, "")
    return {
        "eye_time": trace.time,
        "pupil_radius": trace.pupil_radius,
        "center_x": trace.center_x,
        "center_y": trace.center_y,
        "treadmill_time": running.time,
        "velocity": running.velocity,
        "pixel_value": calibration.pixel_value,
        "luminance": calibration.luminance,
        "trial_pupil_radius": trials.pupil_radius,
        "trial_pupil_derivative": trials.pupil_derivative,
        "trial_center_x": trials.center_x,
        "trial_center_y": trials.center_y,
        "trial_speed": treadmill.speed if isinstance(treadmill, TrialTreadmill) else NONE,
    }

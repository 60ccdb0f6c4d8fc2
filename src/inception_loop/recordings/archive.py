"""Recordings in the artifact store: the kind, and the way in and out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.kind import SCAN, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt
from inception_loop.recordings.recording import (
    CONDITION_COLUMNS,
    EXCLUDED_COLUMNS,
    FIELD_COLUMNS,
    STACK_COLUMNS,
    TRIAL_COLUMNS,
    UNIT_COLUMNS,
    Calibration,
    EyeTrace,
    Recording,
    ScanKey,
    TreadmillTrace,
)

I64, F64, TEXT, FLAG = pa.int64(), pa.float64(), pa.string(), pa.bool_()

RECORDING = Kind(
    name="recording",
    version=1,
    meaning="What a rig hands over of one scan: traces with their clocks, behaviour, trials, images, cells.",
    payloads={
        "scan": Table(
            {
                "animal_id": Column(I64, "number of the animal"),
                "session": Column(I64, "session of the animal"),
                "scan_idx": Column(I64, "scan within the session"),
                "trace_kind": Column(TEXT, "what the traces are: deconvolved, dff or spikes"),
                "has_eye": Column(FLAG, "whether the eye was recorded"),
                "has_treadmill": Column(FLAG, "whether running was recorded"),
                "calibrated": Column(
                    TEXT, "when the monitor was measured, ISO 8601; null: never", nullable=True
                ),
            }
        ),
        "units": Table(
            {
                "unit_id": Column(I64, "number of the segmented mask; rows are in the order of the traces"),
                "field": Column(I64, "field of the scan it lies in"),
                "px_x": Column(F64, "column in the field's image, px"),
                "px_y": Column(F64, "row in the field's image, px"),
                "um_x": Column(F64, "position in the scan, µm"),
                "um_y": Column(F64, "position in the scan, µm"),
                "um_z": Column(F64, "depth in the scan, µm"),
                "ms_delay": Column(F64, "how much later than the frame time the scanner reaches it, ms"),
                "mask_type": Column(TEXT, "class of the mask; soma for a cell body"),
                "brain_area": Column(TEXT, "area, where the rig knows it", nullable=True),
                "layer": Column(TEXT, "cortical layer, where the rig knows it", nullable=True),
            }
        ),
        "fields": Table(
            {
                "field": Column(I64, "number of the field"),
                "px_height": Column(F64, "height of its image, px"),
                "px_width": Column(F64, "width of its image, px"),
                "um_height": Column(F64, "height, µm"),
                "um_width": Column(F64, "width, µm"),
                "x": Column(F64, "centre in the scan, µm"),
                "y": Column(F64, "centre in the scan, µm"),
                "z": Column(F64, "depth in the scan, µm"),
            }
        ),
        "trials": Table(
            {
                "trial_idx": Column(I64, "number of the trial; rows are in the order of presentation"),
                "condition_hash": Column(TEXT, "content hash of the image and its presentation"),
                "clear_flip": Column(F64, "blank screen, s on the stimulus clock; NaN: no such flip"),
                "onset_flip": Column(F64, "image on, s on the stimulus clock; NaN: no such flip"),
                "offset_flip": Column(F64, "image off, s on the stimulus clock; NaN: no such flip"),
            }
        ),
        "conditions": Table(
            {
                "condition_hash": Column(TEXT, "content hash of the image and its presentation"),
                "image_class": Column(TEXT, "class of the image"),
                "image_id": Column(I64, "number of the image in its class"),
                "source_id": Column(TEXT, "picture that it was cut from"),
                "image_row": Column(I64, "row of the images"),
            }
        ),
        "stack_coordinates": Table(
            {
                "stack_session": Column(I64, "session of the structural stack"),
                "stack_idx": Column(I64, "stack within that session"),
                "field": Column(I64, "field of the scan"),
                "unit_id": Column(I64, "number of the mask"),
                "stack_x": Column(F64, "position in the stack, µm"),
                "stack_y": Column(F64, "position in the stack, µm"),
                "stack_z": Column(F64, "position in the stack, µm"),
            }
        ),
        "excluded_trials": Table(
            {
                "trial_idx": Column(I64, "trial that no later stage may use"),
                "reason": Column(TEXT, "why, in words"),
            }
        ),
        "traces": Arrays(
            {
                "traces": Array("float32", ("units", "frames"), "activity, arbitrary units; NaN: frame lost"),
                "frame_times": Array("float64", ("clock frames",), "frame times, s on the stimulus clock"),
                "behavior_frame_times": Array(
                    "float64", ("clock frames",), "the same frames, s on the behaviour clock"
                ),
            }
        ),
        "behavior": Arrays(
            {
                "eye_time": Array("float64", ("eye samples",), "s on the behaviour clock; empty: no eye"),
                "pupil_radius": Array("float64", ("eye samples",), "px of the eye camera; NaN: not tracked"),
                "center_x": Array("float64", ("eye samples",), "px of the eye camera; NaN: not tracked"),
                "center_y": Array("float64", ("eye samples",), "px of the eye camera; NaN: not tracked"),
                "treadmill_time": Array("float64", ("samples",), "s on the behaviour clock; empty: none"),
                "velocity": Array("float64", ("samples",), "running velocity, cm/s"),
                "pixel_value": Array("float64", ("levels",), "grey levels measured; empty: not calibrated"),
                "luminance": Array("float64", ("levels",), "luminance at them, cd/m²"),
            }
        ),
        "images": Arrays(
            {"images": Array("uint8", ("images", "height", "width"), "grey levels as sent to the monitor")}
        ),
    },
    partition=SCAN,
)

_COLUMNS = {
    "fields": FIELD_COLUMNS,
    "trials": TRIAL_COLUMNS,
    "conditions": CONDITION_COLUMNS,
    "stack_coordinates": STACK_COLUMNS,
    "excluded_trials": EXCLUDED_COLUMNS,
}
_TABLES = ("units", *_COLUMNS)
_KNOWN_TO_SOME_RIGS = ("brain_area", "layer")


def save_recording(attempt: Attempt, recording: Recording) -> None:
    """Write every payload of a recording; columns that the kind does not declare are left out.

    Parameters
    ----------
    attempt
        Of kind `RECORDING`.
    recording
    """
    attempt.write_table("scan", _scan_row(recording))
    for name in _TABLES:
        attempt.write_table(name, _declared_columns(getattr(recording, name), name))
    attempt.write_arrays(
        "traces",
        {
            "traces": recording.traces,
            "frame_times": recording.frame_times,
            "behavior_frame_times": recording.behavior_frame_times,
        },
    )
    attempt.write_arrays("behavior", _behavior_members(recording))
    attempt.write_arrays("images", {"images": recording.images})
    attempt.report(
        n_masks=recording.units.height,
        n_frames=len(recording.frame_times),
        n_trials=recording.trials.height,
        n_excluded=recording.excluded_trials.height,
    )


def load_recording(store: ArtifactStore, ref: ArtifactRef) -> Recording:
    """Read a recording; its arrays are mapped, read-only, where the store is on local disk.

    Raises
    ------
    ArtifactNotFoundError
        If nothing stands at the reference.
    RecordingError
        If it contradicts itself.
    """
    scan = store.table(ref, "scan").row(0, named=True)
    tables: dict[str, Any] = {name: store.table(ref, name) for name in _TABLES}
    traces: dict[str, Any] = dict(store.arrays(ref, "traces"))
    units = tables["units"]
    unknown = [name for name in _KNOWN_TO_SOME_RIGS if units[name].null_count() == units.height]
    tables["units"] = units.drop(unknown)
    behavior = store.arrays(ref, "behavior")
    eye = EyeTrace(*(behavior[name] for name in ("eye_time", "pupil_radius", "center_x", "center_y")))
    return Recording(
        scan=ScanKey(animal_id=scan["animal_id"], session=scan["session"], scan_idx=scan["scan_idx"]),
        trace_kind=scan["trace_kind"],
        images=store.arrays(ref, "images")["images"],
        eye=eye if scan["has_eye"] else None,
        treadmill=(
            TreadmillTrace(behavior["treadmill_time"], behavior["velocity"])
            if scan["has_treadmill"]
            else None
        ),
        calibration=(
            Calibration(behavior["pixel_value"], behavior["luminance"], scan["calibrated"])
            if scan["calibrated"] is not None
            else None
        ),
        **traces,
        **tables,
    )


def _scan_row(recording: Recording) -> pl.DataFrame:
    row: dict[str, Any] = {
        **recording.scan.model_dump(),
        "trace_kind": recording.trace_kind,
        "has_eye": recording.eye is not None,
        "has_treadmill": recording.treadmill is not None,
        "calibrated": recording.calibration.timestamp if recording.calibration else None,
    }
    return pl.DataFrame([row], schema_overrides={"calibrated": pl.String})


def _declared_columns(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    if name == "units":
        absent = [column for column in _KNOWN_TO_SOME_RIGS if column not in frame.columns]
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(column) for column in absent)
        return frame.select(*UNIT_COLUMNS, *_KNOWN_TO_SOME_RIGS)
    return frame.select(_COLUMNS[name])


def _behavior_members(recording: Recording) -> dict[str, npt.NDArray[np.float64]]:
    none = np.zeros(0)
    eye = recording.eye or EyeTrace(none, none, none, none)
    treadmill = recording.treadmill or TreadmillTrace(none, none)
    calibration = recording.calibration or Calibration(none, none, "")
    return {
        "eye_time": eye.time,
        "pupil_radius": eye.pupil_radius,
        "center_x": eye.center_x,
        "center_y": eye.center_y,
        "treadmill_time": treadmill.time,
        "velocity": treadmill.velocity,
        "pixel_value": calibration.pixel_value,
        "luminance": calibration.luminance,
    }

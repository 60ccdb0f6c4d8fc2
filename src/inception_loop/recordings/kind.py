"""The artifact kind of a recording: every payload, column and unit, and how older schemas are read."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.kind import SCAN, Array, Arrays, Bundle, Column, Kind, Table

I64, F64, TEXT = pa.int64(), pa.float64(), pa.string()
NONE = np.zeros(0)


def _scan_1_to_2(table: pa.Table) -> pa.Table:
    frame = pl.DataFrame(pl.from_arrow(table))
    forms = {
        name: pl.when(f"has_{name}").then(pl.lit("trace")).otherwise(pl.lit("none"))
        for name in ("eye", "treadmill")
    }
    return frame.with_columns(activity=pl.lit("traces"), **forms).drop("has_eye", "has_treadmill").to_arrow()


def _conditions_1_to_2(table: pa.Table) -> pa.Table:
    return table.append_column("tier", pa.nulls(len(table), pa.string()))


def _traces_1_to_2(bundle: Bundle) -> Bundle:
    return bundle | {"responses": np.zeros((0, 0), np.float32)}


def _behavior_1_to_2(bundle: Bundle) -> Bundle:
    trials = ("pupil_radius", "pupil_derivative", "center_x", "center_y", "speed")
    return bundle | {f"trial_{name}": NONE for name in trials}


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
                "calibrated": Column(
                    TEXT, "when the monitor was measured, ISO 8601; null: never", nullable=True
                ),
                "activity": Column(TEXT, "traces (on the clock of the frames) or trials (already binned)"),
                "eye": Column(TEXT, "trace, trials (already read at each trial), or none"),
                "treadmill": Column(TEXT, "trace, trials (already read at each trial), or none"),
            },
            version=2,
            upgrades={1: _scan_1_to_2},
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
                "ms_delay": Column(
                    F64, "how much later than the frame time the scanner reaches it, ms; NaN: no traces"
                ),
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
                "tier": Column(TEXT, "train, validation or test, as the source gave it", nullable=True),
            },
            version=2,
            upgrades={1: _conditions_1_to_2},
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
                "responses": Array("float32", ("trials", "units"), "activity binned per trial; NaN: lost"),
                "frame_times": Array("float64", ("clock frames",), "frame times, s on the stimulus clock"),
                "behavior_frame_times": Array(
                    "float64", ("clock frames",), "the same frames, s on the behaviour clock"
                ),
            },
            version=2,
            upgrades={1: _traces_1_to_2},
            meaning="Activity: traces with their clocks, or responses; the other is empty.",
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
                "trial_pupil_radius": Array("float64", ("trials",), "already read; empty: not so recorded"),
                "trial_pupil_derivative": Array("float64", ("trials",), "its derivative, a second"),
                "trial_center_x": Array("float64", ("trials",), "px of the eye camera; NaN: not tracked"),
                "trial_center_y": Array("float64", ("trials",), "px of the eye camera; NaN: not tracked"),
                "trial_speed": Array("float64", ("trials",), "running speed, already read; empty: none"),
            },
            version=2,
            upgrades={1: _behavior_1_to_2},
        ),
        "images": Arrays(
            {
                "images": Array(
                    "uint8 or float32",
                    ("images", "height", "width"),
                    "grey levels as sent to the monitor; float32: as the source had resized them",
                )
            }
        ),
    },
    partition=SCAN,
)

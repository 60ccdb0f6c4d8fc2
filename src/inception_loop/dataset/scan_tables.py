"""What a scan is made of: its units and fields, excluded trials, places in stacks, the monitor's curve."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.responses import soma_rows
from inception_loop.errors import RecordingError
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import (
    EXCLUDED_COLUMNS,
    FIELD_COLUMNS,
    STACK_COLUMNS,
    UNIT_COLUMNS,
    Recorded,
    ScanKey,
)

I64, F64, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()
UNIT_ID = Column(I64, "number of the unit in its scan")
FIELD = Column(I64, "number of the imaging field")

STATIC_SCAN = Kind(
    name="static_scan",
    version=1,
    meaning="A scan to work on: its somata, by ascending unit_id, and its imaging fields.",
    payloads={
        "units": Table(
            {
                "unit_id": UNIT_ID,
                "field": FIELD,
                "px_x": Column(F64, "column in the field, px, 0 = centre of its left pixels", nullable=True),
                "px_y": Column(F64, "row in the field, px, 0 = centre of its upper pixels", nullable=True),
                "um_x": Column(F64, "place in cortex, µm", nullable=True),
                "um_y": Column(F64, "place in cortex, µm", nullable=True),
                "um_z": Column(F64, "depth below the pia, µm", nullable=True),
                "ms_delay": Column(
                    F64, "how much later than the frame time the unit is scanned, ms", nullable=True
                ),
                "mask_type": Column(TEXT, "what the mask was classified as; always 'soma'"),
            }
        ),
        "fields": Table(
            {
                "field": FIELD,
                "px_height": Column(I64, "height, px", nullable=True),
                "px_width": Column(I64, "width, px", nullable=True),
                "um_height": Column(F64, "height, µm", nullable=True),
                "um_width": Column(F64, "width, µm", nullable=True),
                "x": Column(F64, "centre, µm", nullable=True),
                "y": Column(F64, "centre, µm", nullable=True),
                "z": Column(F64, "depth of the field, µm", nullable=True),
            }
        ),
    },
    partition=SCAN,
)

EXCLUDED_TRIAL = Kind(
    name="excluded_trial",
    version=1,
    meaning="Trials that every later stage leaves out, by hand.",
    payloads={
        "excluded_trial": Table(
            {"trial_idx": Column(I64, "number of the trial"), "reason": Column(TEXT, "why, in words")}
        )
    },
    partition=SCAN,
)

STACK_COORDINATES = Kind(
    name="stack_coordinates",
    version=1,
    meaning="Places of the scan's somata in the structural stacks that their field is registered into.",
    payloads={
        "stack_coordinates": Table(
            {
                "stack_session": Column(I64, "session in which the stack was taken"),
                "stack_idx": Column(I64, "number of the stack in that session"),
                "field": FIELD,
                "unit_id": UNIT_ID,
                "stack_x": Column(F64, "place in the stack, µm"),
                "stack_y": Column(F64, "place in the stack, µm"),
                "stack_z": Column(F64, "place in the stack, µm"),
            }
        )
    },
    partition=SCAN,
)

MONITOR_CALIBRATION = Kind(
    name="monitor_calibration",
    version=1,
    meaning="Luminance of the rig's monitor as measured; no rows where it was not.",
    payloads={
        "monitor_calibration": Table(
            {
                "pixel_value": Column(F64, "grey level, 0..255"),
                "luminance": Column(F64, "luminance at it, cd/m²"),
                "timestamp": Column(TEXT, "when it was measured, ISO 8601"),
            }
        )
    },
    partition=SCAN,
)


class ScanConfig(Config):
    """Configuration of the tables that a scan hands over as they are."""

    scan: ScanKey = Field(description="The scan.")


def scan_units(recording: Recorded) -> pl.DataFrame:
    """Somata of a recording by ascending ``unit_id``; places and delays that are not known become null.

    Returns
    -------
    Table of `UNIT_COLUMNS`, and ``brain_area``, ``layer`` where the recording has them.

    Raises
    ------
    RecordingError
        If no unit is a soma.
    """
    rows = soma_rows(recording.units)
    if rows.size == 0:
        raise RecordingError(
            f"scan {recording.scan}: no unit is a soma; expected mask_type 'soma' for at least one"
        )
    measured = ["px_x", "px_y", "um_x", "um_y", "um_z", "ms_delay"]
    units = recording.units[rows].with_columns(pl.col(measured).cast(pl.Float64).fill_nan(None))
    membership = [name for name in ("brain_area", "layer") if name in units.columns]
    return units.select(*UNIT_COLUMNS, *membership)


def field_table(fields: pl.DataFrame) -> pl.DataFrame:
    """Return the fields of a recording in order; what is not known (NaN) becomes null."""
    sizes = [pl.col(name).cast(pl.Float64).fill_nan(None) for name in FIELD_COLUMNS[1:]]
    return fields.select("field", *sizes).sort("field")


def make_static_scan(store: ArtifactStore, config: ScanConfig, *, recording: ArtifactRef) -> Outcome:
    """Make the table of a scan's somata and fields."""

    def build(attempt: Attempt) -> None:
        source = load_recording(store, recording)
        units = scan_units(source).select(UNIT_COLUMNS)
        attempt.write_table("units", units)
        attempt.write_table("fields", field_table(source.fields))
        attempt.report(
            n_units=units.height,
            n_masks_left_out=source.units.height - units.height,
            n_units_without_place=units.filter(pl.col("um_x").is_null() | pl.col("px_x").is_null()).height,
        )

    return store.make(STATIC_SCAN, config, build, inputs={"recording": recording})


def make_excluded_trial(store: ArtifactStore, config: ScanConfig, *, recording: ArtifactRef) -> Outcome:
    """Make the list of a scan's trials that are left out by hand."""

    def build(attempt: Attempt) -> None:
        table = load_recording(store, recording).excluded_trials.select(EXCLUDED_COLUMNS).sort("trial_idx")
        attempt.write_table("excluded_trial", table)
        attempt.report(n_excluded=table.height)

    return store.make(EXCLUDED_TRIAL, config, build, inputs={"recording": recording})


def make_stack_coordinates(store: ArtifactStore, config: ScanConfig, *, recording: ArtifactRef) -> Outcome:
    """Make the table of the somata's places in structural stacks."""

    def build(attempt: Attempt) -> None:
        source = load_recording(store, recording)
        somata = scan_units(source)["unit_id"].to_list()
        table = source.stack_coordinates.select(STACK_COLUMNS).filter(pl.col("unit_id").is_in(somata))
        attempt.write_table("stack_coordinates", table.sort(STACK_COLUMNS[:4]))
        attempt.report(
            n_stacks=table.select("stack_session", "stack_idx").n_unique() if table.height else 0,
            n_units_without_stack=len(somata) - table["unit_id"].n_unique(),
        )

    return store.make(STACK_COORDINATES, config, build, inputs={"recording": recording})


def make_monitor_calibration(store: ArtifactStore, config: ScanConfig, *, recording: ArtifactRef) -> Outcome:
    """Make the table of the monitor's measured luminance."""

    def build(attempt: Attempt) -> None:
        curve = load_recording(store, recording).calibration
        schema = {"pixel_value": pl.Float64, "luminance": pl.Float64, "timestamp": pl.String}
        table = (
            pl.DataFrame(schema=schema)
            if curve is None
            else pl.DataFrame(
                {
                    "pixel_value": curve.pixel_value,
                    "luminance": curve.luminance,
                    "timestamp": curve.timestamp,
                },
                schema=schema,
            )
        )
        attempt.write_table("monitor_calibration", table.sort("pixel_value"))
        attempt.report(measured=curve is not None)

    return store.make(MONITOR_CALIBRATION, config, build, inputs={"recording": recording})

"""ClosestCalibration: per scan the calibration of the same rig that was measured nearest in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl
import pyarrow as pa
from pydantic import Field, field_validator

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.monitor.calibration import PROCESSED_MONITOR_CALIBRATION, load_monitor
from inception_loop.images.monitor.gamma import Monitor
from inception_loop.recordings.recording import ScanKey

F64, I64, TEXT = pa.float64(), pa.int64(), pa.string()
KEY = ("animal_id", "session", "scan_idx")

CLOSEST_CALIBRATION = Kind(
    name="closest_calibration",
    version=1,
    meaning="Which calibration of its rig a scan uses: the one measured nearest in time.",
    payloads={
        "closest_calibration": Table(
            {
                "animal_id": Column(I64, "number of the animal"),
                "session": Column(I64, "session of the animal"),
                "scan_idx": Column(I64, "scan within the session"),
                "rig": Column(TEXT, "name of the rig; empty: not told apart"),
                "scan_time": Column(TEXT, "when the scan was made, ISO 8601 in UTC"),
                "calibration_animal_id": Column(I64, "animal of the scan in which the monitor was measured"),
                "calibration_session": Column(I64, "its session"),
                "calibration_scan_idx": Column(I64, "its number in the session"),
                "calibration_time": Column(TEXT, "when the monitor was measured, ISO 8601 in UTC"),
                "position": Column(I64, "place of the calibration among the inputs, 0 first"),
                "delta_time": Column(F64, "from scan to calibration, hours; negative: measured before it"),
                "n_calibrations": Column(I64, "calibrations of the rig, with a time, to choose from"),
            }
        )
    },
    partition=SCAN,
)


class ClosestCalibrationConfig(Config):
    """Whose calibration is wanted. A recording tells neither its rig nor its time: they are said here."""

    scan: ScanKey = Field(description="The scan.")
    rig: str = Field("", description="Name of its rig, as in the configuration of the calibrations.")
    time: str | None = Field(
        None, description="When it was made, ISO 8601; none: when its own calibration was measured."
    )
    timezone: str = Field("UTC", description="Of times that do not say theirs, such as Europe/Berlin.")
    max_hours: float = Field(
        24.0 * 30, ge=0, description="Calibrations further away than this do not count, hours."
    )

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"timezone {timezone!r} is not known; expected one such as UTC") from error
        return timezone

    @field_validator("time")
    @classmethod
    def _readable(cls, time: str | None) -> str | None:
        if time is not None:
            try:
                utc(time, "UTC")
            except DataError as error:
                raise ValueError(str(error)) from error
        return time


def utc(time: str, timezone: str) -> datetime:
    """Read a time; one that says no zone is of ``timezone`` (the first of the two when clocks go back).

    Raises
    ------
    DataError
        If it is not written in ISO 8601.

    Examples
    --------
    >>> utc("2019-03-04T09:30:00", "Europe/Berlin").isoformat(), utc("2019-03-04T09:30-05:00", "UTC").hour
    ('2019-03-04T08:30:00+00:00', 14)
    """
    try:
        read = datetime.fromisoformat(time)
    except ValueError as error:
        raise DataError(
            f"the time {time!r} cannot be read; expected ISO 8601 such as 2019-03-04T09:30:00+01:00; "
            "correct it"
        ) from error
    return (read if read.tzinfo else read.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)


def closest_calibrations(
    scans: pl.DataFrame, calibrations: pl.DataFrame, *, timezone: str = "UTC"
) -> pl.DataFrame:
    """Choose for every scan the calibration of its rig that is nearest in time.

    Parameters
    ----------
    scans
        ``animal_id, session, scan_idx, rig, time`` (ISO 8601).
    calibrations
        ``animal_id, session, scan_idx, rig, timestamp`` (ISO 8601; empty or null: not known, and not chosen),
        such as rows of ``processed_monitor_calibration``.
    timezone
        Of times that do not say theirs.

    Returns
    -------
    The columns of the kind ``closest_calibration``, a row a scan, by scan; ``position`` is the row of
    ``calibrations``. A scan whose rig has no calibration has no row. Of two as near, the earlier one.

    Raises
    ------
    DataError
        If a time cannot be read.

    Examples
    --------
    >>> key = {"animal_id": 1, "scan_idx": 1}
    >>> scans = pl.DataFrame({**key, "session": 1, "rig": "a", "time": "2019-03-04T12:00"})
    >>> times = ["2019-03-01T12:00", "2019-03-04T18:00", "2019-03-04T12:00"]
    >>> known = pl.DataFrame({**key, "session": [1, 2, 3], "rig": ["a", "a", "b"], "timestamp": times})
    >>> closest_calibrations(scans, known)["calibration_session", "delta_time"].rows()
    [(2, 6.0)]
    """
    timed = calibrations.select(*KEY, "rig", "timestamp").with_row_index("position")
    return query(
        sql_file("inception_loop.images.monitor", "closest_calibration.sql"),
        {
            "scans": _timed(scans.select(*KEY, "rig", "time"), "time", "scan_time", timezone),
            "calibrations": _timed(timed, "timestamp", "calibration_time", timezone),
        },
    )


def _timed(rows: pl.DataFrame, column: str, name: str, timezone: str) -> pl.DataFrame:
    read = [utc(time, timezone) if time else None for time in rows[column].to_list()]
    texts = [None if time is None else time.isoformat() for time in read]
    whole = pl.Series(name, read, pl.Datetime("us", "UTC")).dt.timestamp("us")
    return rows.drop(column).with_columns(pl.Series(name, texts, pl.String), whole.alias(f"{name}_us"))


def make_closest_calibration(
    store: ArtifactStore, config: ClosestCalibrationConfig, *, calibrations: Sequence[ArtifactRef]
) -> Outcome:
    """Make the choice of a scan's calibration.

    Parameters
    ----------
    store, config
        Where and what.
    calibrations
        Artifacts of kind ``processed_monitor_calibration``, of whatever scans and rigs.

    Raises
    ------
    DataError
        If the scan's time is not known, no calibration is of its rig, or the nearest one is too far away.
    """
    if not calibrations:
        raise ConfigurationError(
            f"scan {config.scan} is given no calibration to choose from; expected at least one; "
            "measure the monitor"
        )

    given = sorted(calibrations, key=lambda ref: ref.digest)  # named in another order, they are the same

    def build(attempt: Attempt) -> None:
        known = pl.concat([store.table(ref, PROCESSED_MONITOR_CALIBRATION.name) for ref in given])
        found = choose_calibration(config, known)
        attempt.write_table("closest_calibration", found)
        attempt.report(delta_time=found["delta_time"][0], n_calibrations=found["n_calibrations"][0])

    return store.make(CLOSEST_CALIBRATION, config, build, inputs={"calibration": given})


def choose_calibration(config: ClosestCalibrationConfig, known: pl.DataFrame) -> pl.DataFrame:
    """Choose the calibration of one scan.

    Parameters
    ----------
    config
        Whose.
    known
        See `closest_calibrations`.

    Returns
    -------
    One row, see `closest_calibrations`.

    Raises
    ------
    DataError
        If the scan's time is not known, no calibration is of its rig, or the nearest one is too far away.
    """
    time = _time_of(config, known)
    scan = pl.DataFrame([{**config.scan.model_dump(), "rig": config.rig, "time": time}])
    found = closest_calibrations(scan, known, timezone=config.timezone)
    _check_found(config, known, found)
    return found


def _time_of(config: ClosestCalibrationConfig, known: pl.DataFrame) -> str:
    if config.time is not None:
        return config.time
    own = known.filter(pl.col("timestamp") != "", **config.scan.model_dump())
    if own.height == 0:
        raise DataError(
            f"when scan {config.scan} was made is not known: none of its own calibrations has a time; "
            "expected one, or the time in the configuration; say when it was made: monitor.time"
        )
    return str(own["timestamp"][0])


def _check_found(config: ClosestCalibrationConfig, known: pl.DataFrame, found: pl.DataFrame) -> None:
    if found.height == 0:
        rigs = ", ".join(repr(rig) for rig in known["rig"].unique().sort())
        untimed = known.filter(rig=config.rig).height
        reason = f"{untimed} of it have no time" if untimed else f"those given are of {rigs}"
        raise DataError(
            f"scan {config.scan} has no calibration of its rig {config.rig!r} ({reason}); expected one with "
            "a time; measure that monitor, or correct the name of the rig"
        )
    hours, when = float(found["delta_time"][0]), found["calibration_time"][0]
    if abs(hours) > config.max_hours:
        raise DataError(
            f"the closest calibration for scan {config.scan} was measured {abs(hours):.1f} h "
            f"{'after' if hours > 0 else 'before'} it, at {when}; expected at most {config.max_hours:g} h; "
            "measure the monitor again or allow more"
        )


def load_closest_monitor(store: ArtifactStore, ref: ArtifactRef) -> Monitor:
    """Return the monitor of a ``processed_monitor_calibration``, or of the one that a scan chose.

    Parameters
    ----------
    ref
        Of that kind, or of kind ``closest_calibration``.

    Raises
    ------
    ConfigurationError
        If it is of another kind.
    """
    if ref.kind == CLOSEST_CALIBRATION.name:
        position = int(store.table(ref, CLOSEST_CALIBRATION.name)["position"][0])
        ref = store.inputs(ref)["calibration"][position]
    if ref.kind != PROCESSED_MONITOR_CALIBRATION.name:
        raise ConfigurationError(
            f"{ref} is no calibration of a monitor; expected {PROCESSED_MONITOR_CALIBRATION.name} or "
            f"{CLOSEST_CALIBRATION.name}"
        )
    return load_monitor(store, ref)

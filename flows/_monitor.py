"""Which calibration of the rig's monitor a session goes by, what its images are brought to, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Run
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import DataError
from inception_loop.images.monitor.calibration import (
    ProcessedMonitorCalibrationConfig,
    make_processed_monitor_calibration,
    process_calibration,
)
from inception_loop.images.monitor.closest import (
    ClosestCalibrationConfig,
    choose_calibration,
    make_closest_calibration,
    utc,
)
from inception_loop.images.monitor.shown_target import BestKnown, LuminanceTarget, ShownTarget
from inception_loop.parameters import StimulusParameters
from inception_loop.recordings.recording import ScanKey

GREY = "all images are alike in grey levels, not in light"


@dataclass(frozen=True)
class ShownBy:
    """Calibrations that count, the target that they allow, and why it is not light if it is not.

    ``lost`` says that a calibration was given for nothing, where one that counts would have been used.
    """

    calibrations: tuple[ArtifactRef, ...]
    target: ShownTarget
    why: str = ""
    lost: bool = False

    @property
    def words(self) -> str:
        """What the images are brought to, for a person."""
        if self.target.type == "as_made":
            return "images are shown as they were made"
        return "all images are alike in light" if self.target.type == "luminance" else f"{GREY} ({self.why})"


def shown_by(p: StimulusParameters, store: ArtifactStore) -> ShownBy:
    """Say which of the calibrations given count.

    Where cd/m² are asked for all of them do: what is wrong with one is refused by the step that reads it.
    Else a night shall not end at its last stage because of a meter: one that is no measurement, of unknown
    time or too far away does not count.
    """
    asked, given = p.rules.target, tuple(ref for ref in p.calibrations if _measured(store, ref))
    if isinstance(asked, LuminanceTarget):
        return ShownBy(given, asked)
    usable, why = _usable(p, store, given)
    if not isinstance(asked, BestKnown):
        return ShownBy(usable, asked, f"{asked.type} was asked for")
    why = why or "no calibration of the monitor is given"
    return ShownBy(usable, asked.resolved(bool(usable)), "" if usable else why, bool(given and not usable))


def submit_monitor(p: StimulusParameters, store: ArtifactStore, run: Run, by: ShownBy) -> Any:
    """Submit the calibration of the rig nearest to the source scan; None if none counts."""
    if not by.calibrations:
        return None
    rules = p.rules.monitor
    read = {"rig": rules.rig, "curve": rules.curve, "noise": rules.noise}
    processed = [
        run(
            make_processed_monitor_calibration,
            ProcessedMonitorCalibrationConfig(scan=_scan(store, ref), **read),
            calibration=ref,
        )
        for ref in by.calibrations
    ]
    return run(make_closest_calibration, _closest(p, store), calibrations=processed)


def _usable(
    p: StimulusParameters, store: ArtifactStore, given: Sequence[ArtifactRef]
) -> tuple[tuple[ArtifactRef, ...], str]:
    rules, rows, refused = p.rules.monitor, [], []
    for ref in given:
        try:
            rows.append((ref, _read(p, store, ref)))
        except DataError as error:
            refused.append(str(error))
    if rows:
        known = pl.DataFrame([row for _, row in rows]).with_columns(rig=pl.lit(rules.rig))
        try:
            choose_calibration(_closest(p, store), known)
        except DataError as error:
            return (), str(error)
    return tuple(ref for ref, _ in rows), next(iter(refused), "")


def _read(p: StimulusParameters, store: ArtifactStore, ref: ArtifactRef) -> dict[str, Any]:
    """Return whose a calibration is and when it was measured; refuse one that tells nothing."""
    scan, readings = _scan(store, ref), store.table(ref, ref.kind)
    if readings.height == 0:
        raise DataError(f"scan {scan} has a calibration without readings")
    if not readings["timestamp"][0]:
        raise DataError(
            f"nobody knows when the calibration of scan {scan} was measured; import it with its time"
        )
    utc(readings["timestamp"][0], p.rules.monitor.timezone)
    try:
        process_calibration(
            readings["pixel_value"].to_numpy(),
            readings["luminance"].to_numpy(),
            curve=p.rules.monitor.curve,
            noise=p.rules.monitor.noise,
        )
    except DataError as error:
        raise DataError(f"scan {scan}: {error}") from error
    return {**scan.model_dump(), "timestamp": readings["timestamp"][0]}


def _measured(store: ArtifactStore, ref: ArtifactRef) -> bool:
    """Whether there are readings: a scan that came without a calibration has an artifact without rows."""
    return bool(store.manifest(ref).findings.get("measured"))


def _closest(p: StimulusParameters, store: ArtifactStore) -> ClosestCalibrationConfig:
    rules = p.rules.monitor
    return ClosestCalibrationConfig(
        scan=_scan(store, p.recording),
        rig=rules.rig,
        time=rules.time,
        timezone=rules.timezone,
        max_hours=rules.max_hours,
    )


def _scan(store: ArtifactStore, ref: ArtifactRef) -> ScanKey:
    return ScanKey(**store.manifest(ref).config["scan"])

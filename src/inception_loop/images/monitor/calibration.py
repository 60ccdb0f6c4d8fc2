"""ProcessedMonitorCalibration: a rig's monitor as a curve that is read both ways, with its power law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.images.monitor.curve import Curve, law_curve, measured_curve, smoothed_curve
from inception_loop.images.monitor.gamma import Monitor
from inception_loop.images.monitor.measured_levels import MeasuredLevels, Soundness, measured_levels
from inception_loop.images.monitor.power_law import Noise, PowerLaw, fit_power_law
from inception_loop.recordings.recording import ScanKey

Floats = npt.NDArray[np.float64]
F64, I64, TEXT = pa.float64(), pa.int64(), pa.string()

PROCESSED_MONITOR_CALIBRATION = Kind(
    name="processed_monitor_calibration",
    version=1,
    meaning="A rig's monitor: luminance of every grey level, and the power law that it nearly obeys.",
    payloads={
        "processed_monitor_calibration": Table(
            {
                "animal_id": Column(I64, "number of the animal in whose scan it was measured"),
                "session": Column(I64, "session of the animal"),
                "scan_idx": Column(I64, "scan within the session"),
                "rig": Column(TEXT, "name of the rig; empty: not told apart"),
                "timestamp": Column(TEXT, "when it was measured, as the rig said; empty: not said"),
                "curve": Column(TEXT, "what grey levels are translated by: smoothed, measured or fit"),
                "black": Column(F64, "luminance of grey level 0 by that curve, cd/m²"),
                "white": Column(F64, "luminance of grey level 255 by that curve, cd/m²"),
                "amplitude": Column(
                    F64, "of luminance = amplitude · pixel^gamma + offset, pixel 0..255, cd/m²"
                ),
                "amplitude_error": Column(F64, "its standard error"),
                "gamma": Column(F64, "exponent of the power law"),
                "gamma_error": Column(F64, "its standard error"),
                "offset": Column(F64, "luminance of black by the power law, cd/m²"),
                "offset_error": Column(F64, "its standard error; 0 where it lies at a bound"),
                "full_drive": Column(F64, "amplitude · 255^gamma: what full drive adds to black, cd/m²"),
                "full_drive_error": Column(F64, "its standard error"),
                "mse": Column(F64, "mean squared residual of the power law, (cd/m²)²"),
                "misfit": Column(
                    F64, "largest distance of the smoothed curve from the power law, share of its range"
                ),
                "noise": Column(F64, "s.d. of the meter's noise, share of the luminance"),
                "fall": Column(F64, "largest fall from a darker to a brighter grey level, cd/m²; 0: none"),
                "mean_step": Column(F64, "mean step of luminance between measured grey levels, cd/m²"),
                "n_points": Column(I64, "readings of the meter"),
                "n_levels": Column(I64, "different grey levels among them"),
            }
        ),
        "curve": Arrays(
            {
                "pixel_value": Array("float64", ("knots",), "grey levels, rising from 0 to 255"),
                "luminance": Array("float64", ("knots",), "cd/m² at them; a monotone cubic lies between"),
            }
        ),
        "levels": Table(
            {
                "grey_level": Column(I64, "0..255"),
                "luminance": Column(F64, "cd/m² by the curve"),
                "power_law": Column(F64, "cd/m² by the fitted power law"),
            }
        ),
        "covariance": Arrays(
            {"covariance": Array("float64", ("parameters", "parameters"), "of full_drive, gamma, offset")}
        ),
    },
    partition=SCAN,
)


class ProcessedMonitorCalibrationConfig(Config):
    """How the monitor of a scan's rig is described."""

    scan: ScanKey = Field(description="The scan in which it was measured.")
    rig: str = Field("", description="Name of the rig; empty: rigs are not told apart.")
    curve: Curve = Field(
        "smoothed",
        description="What grey levels are translated by. fit: the power law. measured: the readings, made "
        "monotone. smoothed: the power law and a smooth correction, as far as the readings call for it.",
    )
    noise: Noise = Field(
        "absolute",
        description="Whether residuals of the fit count alike (as published) or by the luminance.",
    )
    max_misfit: float = Field(
        0.02, gt=0, description="With curve fit: largest misfit of the power law, share of its range."
    )
    soundness: Soundness = Field(Soundness(), description="What counts as a measurement.")


@dataclass(frozen=True)
class ProcessedCalibration:
    """What `process_calibration` found."""

    levels: MeasuredLevels
    law: PowerLaw
    monitor: Monitor
    misfit: float


def process_calibration(
    pixel_value: Floats,
    luminance: Floats,
    *,
    curve: Curve = "smoothed",
    noise: Noise = "absolute",
    max_misfit: float = 0.02,
    soundness: Soundness | None = None,
) -> ProcessedCalibration:
    """Turn a meter's readings into a monitor that is read both ways.

    Parameters
    ----------
    pixel_value, luminance : (P,) float64
        Grey levels 0..255 and cd/m², in any order.
    curve, noise, max_misfit, soundness
        See `ProcessedMonitorCalibrationConfig`.

    Raises
    ------
    DataError
        If the readings are no measurement (see `measured_levels`), or the power law is asked for and the
        monitor does not obey it.

    Examples
    --------
    >>> grey = np.linspace(0, 255, 80)
    >>> found = process_calibration(grey, 23.8 * (grey / 255) ** 2.1 + 0.2)
    >>> round(found.law.gamma, 4), found.monitor.to_luminance(np.array([100.0])).round(4).tolist()
    (2.1, [3.5331])
    """
    levels = measured_levels(pixel_value, luminance, soundness)
    law = fit_power_law(pixel_value, luminance, noise)
    smoothed = smoothed_curve(levels)
    misfit = float(np.abs(smoothed.levels - law(np.arange(256.0))).max() / law.range)
    if curve == "fit" and misfit > max_misfit:
        raise DataError(
            f"the monitor lies up to {misfit:.1%} of its range off the fitted power law (gamma "
            f"{law.gamma:.2f}); expected at most {max_misfit:.1%}; choose curve 'smoothed'"
        )
    others = {"measured": lambda: measured_curve(levels), "fit": lambda: law_curve(law)}
    monitor = smoothed if curve == "smoothed" else others[curve]()
    return ProcessedCalibration(levels, law, monitor, misfit)


def make_processed_monitor_calibration(
    store: ArtifactStore, config: ProcessedMonitorCalibrationConfig, *, calibration: ArtifactRef
) -> Outcome:
    """Make the monitor of a scan's rig.

    Parameters
    ----------
    store, config
        Where and what.
    calibration
        The scan's ``monitor_calibration``.

    Raises
    ------
    DataError
        See `process_calibration`.
    """

    def build(attempt: Attempt) -> None:
        readings = store.table(calibration, "monitor_calibration")
        try:
            found = process_calibration(
                readings["pixel_value"].to_numpy(),
                readings["luminance"].to_numpy(),
                curve=config.curve,
                noise=config.noise,
                max_misfit=config.max_misfit,
                soundness=config.soundness,
            )
        except DataError as error:
            raise DataError(f"scan {config.scan}: {error}") from error
        _write(attempt, config, found, readings)

    inputs = {"monitor_calibration": calibration}
    return store.make(PROCESSED_MONITOR_CALIBRATION, config, build, inputs=inputs)


def _write(
    attempt: Attempt,
    config: ProcessedMonitorCalibrationConfig,
    found: ProcessedCalibration,
    readings: pl.DataFrame,
) -> None:
    levels, law, monitor = found.levels, found.law, found.monitor
    range_error, gamma_error, offset_error = law.errors
    row = {
        **config.scan.model_dump(),
        "rig": config.rig,
        "timestamp": readings["timestamp"][0],
        "curve": config.curve,
        "black": monitor.black,
        "white": monitor.white,
        "amplitude": law.amplitude,
        "amplitude_error": law.amplitude_error,
        "gamma": law.gamma,
        "gamma_error": gamma_error,
        "offset": law.offset,
        "offset_error": offset_error,
        "full_drive": law.range,
        "full_drive_error": range_error,
        "mse": law.mse,
        "misfit": found.misfit,
        "noise": levels.noise,
        "fall": levels.fall,
        "mean_step": levels.mean_step,
        "n_points": readings.height,
        "n_levels": len(levels.pixel_value),
    }
    grey = np.arange(256.0)
    attempt.write_table("processed_monitor_calibration", pl.DataFrame([row]))
    attempt.write_arrays(
        "curve", {"pixel_value": monitor.pixel_value, "luminance": np.asarray(monitor.luminance)}
    )
    attempt.write_table(
        "levels",
        pl.DataFrame({"grey_level": np.arange(256), "luminance": monitor.levels, "power_law": law(grey)}),
    )
    attempt.write_arrays("covariance", {"covariance": law.covariance})
    attempt.report(gamma=law.gamma, gamma_error=gamma_error, black=monitor.black, white=monitor.white)


def load_monitor(store: ArtifactStore, ref: ArtifactRef) -> Monitor:
    """Return the monitor of a ``processed_monitor_calibration``."""
    curve = store.arrays(ref, "curve")
    return Monitor(np.array(curve["pixel_value"]), np.array(curve["luminance"]))

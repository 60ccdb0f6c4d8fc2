"""Statistics of one scan over some of its trials: made once, whichever group asks for them."""

from __future__ import annotations

import hashlib

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import Statistic
from inception_loop.dataset.describe import describe, describe_images
from inception_loop.dataset.parts import UsedTrials, read_used
from inception_loop.dataset.scan_tables import F64, I64, TEXT
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

STATISTIC_COLUMNS = {
    "what": Column(TEXT, "images, responses, behavior or pupil_center"),
    "index": Column(I64, "column: neuron_id, channel (pupil, dpupil, treadmill; x, y), 0 for images"),
    "tier": Column(TEXT, "tier of the trials"),
    "n": Column(I64, "values"),
    "mean": Column(F64, "mean, in the unit of what"),
    "std": Column(F64, "standard deviation (ddof 1), in the unit of what"),
    "min": Column(F64, "smallest value"),
    "max": Column(F64, "largest value"),
    "median": Column(F64, "median"),
}

SCAN_STATISTICS = Kind(
    name="scan_statistics",
    version=1,
    meaning="Statistics of images, responses, behaviour and pupil centre of a scan over some of its trials.",
    payloads={"statistics": Table(STATISTIC_COLUMNS)},
    partition=SCAN,
)


class ScanStatisticsConfig(Config):
    """Configuration of a scan's statistics.

    It names the trials themselves, not the tiers that chose them: a group that grows, and gives every image
    of a scan the tier it had, finds the scan's statistics as they stand.
    """

    scan: ScanKey = Field(description="The scan.")
    statistic: Statistic = Field(Statistic(), description="What the statistics are taken over.")
    trials: str = Field(
        pattern="[0-9a-f]{64}", description="SHA-256 of the trial_idx taken, in order of presentation."
    )


def trials_digest(trials: pl.DataFrame) -> str:
    """SHA-256 of the ``trial_idx`` of trials, as 64-bit little-endian numbers.

    Examples
    --------
    >>> trials_digest(pl.DataFrame({"trial_idx": [3, 4]}))[:8]
    'fd223b85'
    """
    return hashlib.sha256(trials["trial_idx"].to_numpy().astype("<i8").tobytes()).hexdigest()


def scan_statistics(used: UsedTrials, config: Statistic) -> pl.DataFrame:
    """Statistics of one scan.

    Parameters
    ----------
    used
        Values of the trials of the normalising tier.
    config
        What that tier is called, and how images count.

    Returns
    -------
    Table of `STATISTIC_COLUMNS`.

    Raises
    ------
    DataError
        If there are fewer than 2 trials.
    """
    n_trials = len(used.frame_row)
    if n_trials < 2:
        raise DataError(
            f"{n_trials} trials of tier {config.norm_tier!r}; expected at least 2 to take statistics of"
        )
    tables = {
        "images": describe_images(used.frames, used.frame_row, config.stats_per_input),
        "responses": describe(used.responses),
    }
    if used.behavior is not None:
        tables["behavior"] = describe(used.behavior)
    if used.pupil_center is not None:
        tables["pupil_center"] = describe(used.pupil_center)
    return pl.concat(
        [
            table.with_columns(what=pl.lit(what), tier=pl.lit(config.norm_tier)).select(*STATISTIC_COLUMNS)
            for what, table in tables.items()
        ]
    )


def make_scan_statistics(
    store: ArtifactStore,
    config: ScanStatisticsConfig,
    *,
    trials: pl.DataFrame,
    frame: ArtifactRef,
    input_response: ArtifactRef,
    eye: ArtifactRef,
    treadmill: ArtifactRef,
) -> Outcome:
    """Make the statistics of a scan.

    Parameters
    ----------
    trials
        Rows of `join_trials`: the used trials of the normalising tier, which the configuration names.
    frame, input_response, eye, treadmill
        The scan's tables.

    Raises
    ------
    DataError
        If other trials are given than the configuration names.
    """
    if trials_digest(trials) != config.trials:
        raise DataError(
            f"scan {config.scan}: {trials.height} trials were given that the configuration does not name; "
            "expected those of its trials_digest; make the configuration from the same table"
        )
    inputs = {"frame": frame, "input_response": input_response, "eye": eye, "treadmill": treadmill}

    def build(attempt: Attempt) -> None:
        attempt.write_table("statistics", scan_statistics(read_used(store, inputs, trials), config.statistic))
        attempt.report(n_trials=trials.height)

    return store.make(SCAN_STATISTICS, config, build, inputs=inputs)

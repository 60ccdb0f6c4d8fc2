"""What the data are normalised by: mean, std, extremes and median over one tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import MissingData, Statistic
from inception_loop.dataset.parts import UsedTrials, by_member, member_name, read_used
from inception_loop.dataset.scan_tables import F64, I64, TEXT
from inception_loop.dataset.trials import join_trials
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

NAME = Column(TEXT, "member of the group: its readout key")
STATISTICS = Kind(
    name="statistics",
    version=1,
    meaning="Statistics of images, responses, behaviour and pupil centre of every member over one tier.",
    payloads={
        "statistics": Table(
            {
                "name": NAME,
                "what": Column(TEXT, "images, responses, behavior or pupil_center"),
                "index": Column(
                    I64, "column: neuron_id, channel (pupil, dpupil, treadmill; x, y), 0 for images"
                ),
                "tier": Column(TEXT, "tier of the trials"),
                "n": Column(I64, "values"),
                "mean": Column(F64, "mean, in the unit of what"),
                "std": Column(F64, "standard deviation (ddof 1), in the unit of what"),
                "min": Column(F64, "smallest value"),
                "max": Column(F64, "largest value"),
                "median": Column(F64, "median"),
            }
        )
    },
    partition=GROUP,
)


class MembersConfig(Config):
    """Configuration of tables that span a group's members, in the order of their scans."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    scans: tuple[ScanKey, ...] = Field(min_length=1, description="The members, in ascending order.")
    missing: MissingData = Field(MissingData(), description="Policies for what is missing.")


class StatisticsConfig(MembersConfig):
    """Configuration of a group's statistics."""

    statistic: Statistic = Field(Statistic(), description="What the statistics are taken over.")


def describe(values: npt.NDArray[np.floating]) -> pl.DataFrame:
    """Describe columns; NaNs are left out.

    Parameters
    ----------
    values : (T, C) float

    Returns
    -------
    Table ``index, n, mean, std`` (ddof 1), ``min, max, median``, all float64, one row a column.

    Raises
    ------
    DataError
        If a column has fewer than 2 values.

    Examples
    --------
    >>> describe(np.array([[1.0], [3.0], [np.nan]])).select("n", "mean", "median").rows()
    [(2, 2.0, 2.0)]
    """
    known = (~np.isnan(values)).sum(axis=0) if values.size else np.zeros(values.shape[1], np.int64)
    if (known < 2).any():
        raise DataError(
            f"column {int((known < 2).argmax())} has {int(known.min())} values to take statistics of; "
            "expected at least 2; use another norm_tier or give it more trials"
        )
    mean = np.nanmean(values, axis=0, dtype=np.float64)
    square = np.nansum((values - mean) ** 2, axis=0, dtype=np.float64)
    return pl.DataFrame(
        {
            "index": np.arange(values.shape[1], dtype=np.int64),
            "n": known.astype(np.int64),
            "mean": mean,
            "std": np.sqrt(square / (known - 1)),
            "min": np.nanmin(values, axis=0).astype(np.float64),
            "max": np.nanmax(values, axis=0).astype(np.float64),
            "median": np.nanmedian(values, axis=0).astype(np.float64),
        }
    )


def describe_images(frames: npt.NDArray[np.float32], per_input: bool) -> pl.DataFrame:
    """Describe all pixels of images as one column; per input: the mean of each image's mean and std.

    Parameters
    ----------
    frames : (T, H, W) float32
    per_input
        Whether mean and std are averages over images.
    """
    pixels = np.asarray(frames).reshape(-1, 1)
    table = describe(pixels)
    if not per_input:
        return table
    each = np.asarray(frames, np.float64).reshape(len(frames), -1)
    return table.with_columns(mean=pl.lit(each.mean(1).mean()), std=pl.lit(each.std(1, ddof=1).mean()))


def member_statistics(used: UsedTrials, tier: npt.NDArray[np.str_], config: Statistic) -> pl.DataFrame:
    """Statistics of one member over the trials of the normalising tier.

    Parameters
    ----------
    used
        Values of the used trials.
    tier : (T,) str
        Their tiers.
    config
        Which tier, and how images count.

    Returns
    -------
    Table ``what, index, tier, n, mean, std, min, max, median``.
    """
    rows = np.flatnonzero(tier == config.norm_tier)
    if rows.size < 2:
        raise DataError(
            f"{rows.size} trials of tier {config.norm_tier!r}; expected at least 2 to take statistics of"
        )
    tables = {
        "images": describe_images(used.frames[used.frame_row[rows]], config.stats_per_input),
        "responses": describe(used.responses[rows]),
    }
    if used.behavior is not None:
        tables["behavior"] = describe(used.behavior[rows])
    if used.pupil_center is not None:
        tables["pupil_center"] = describe(used.pupil_center[rows])
    return pl.concat(
        [
            table.select(
                pl.lit(what).alias("what"),
                "index",
                pl.lit(config.norm_tier).alias("tier"),
                pl.exclude("index"),
            )
            for what, table in tables.items()
        ]
    )


def member_trials(
    store: ArtifactStore,
    refs: Mapping[str, ArtifactRef],
    tiers: ArtifactRef,
    scan: ScanKey,
    group_id: int,
    missing: MissingData,
) -> pl.DataFrame:
    """Read what `join_trials` needs of one member and join it."""
    closed = store.table(tiers, "scans").filter(**scan.model_dump())["closed_loop"]
    if closed.len() != 1:
        raise DataError(f"the tiers of group {group_id} do not cover scan {scan}; make them of all its scans")
    return join_trials(
        member_name(group_id, scan),
        store.table(refs["input_response"], "trials"),
        store.table(refs["frame"], "conditions"),
        store.table(tiers, "condition_tier"),
        store.table(refs["eye"], "eye"),
        store.table(refs["treadmill"], "treadmill"),
        missing,
        closed.item(),
    )


def make_statistics(
    store: ArtifactStore,
    config: StatisticsConfig,
    *,
    condition_tier: ArtifactRef,
    frames: Sequence[ArtifactRef],
    input_responses: Sequence[ArtifactRef],
    eyes: Sequence[ArtifactRef],
    treadmills: Sequence[ArtifactRef],
) -> Outcome:
    """Make the statistics of a group; every sequence has one reference a scan, in the order of the config."""
    inputs = {"frame": frames, "input_response": input_responses, "eye": eyes, "treadmill": treadmills}

    def build(attempt: Attempt) -> None:
        tables = []
        for done, (scan, refs) in enumerate(zip(config.scans, by_member(inputs), strict=True)):
            trials = member_trials(store, refs, condition_tier, scan, config.group_id, config.missing)
            tier = trials.filter("used")["tier"].to_numpy().astype(np.str_)
            table = member_statistics(read_used(store, refs, trials), tier, config.statistic)
            tables.append(table.insert_column(0, pl.lit(trials["name"][0]).alias("name")))
            attempt.progress(done + 1, len(config.scans), trials["name"][0])
        attempt.write_table("statistics", pl.concat(tables))

    return store.make(STATISTICS, config, build, inputs={"condition_tier": condition_tier, **inputs})

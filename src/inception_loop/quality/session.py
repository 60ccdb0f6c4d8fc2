"""The session from beginning to end: its parts, the whole of it at a glance, half a minute of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.responses import soma_rows
from inception_loop.dataset.trial_status import VALID
from inception_loop.quality import signals
from inception_loop.quality.member import Member
from inception_loop.recordings.recording import Traces

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TRIALS_A_BLOCK, MOST_BLOCKS = 20, 50
EXAMPLES = 6


def valid_rows(member: Member) -> Ints:
    """Places among all trials shown of those with responses."""
    return np.flatnonzero((member.status["status"] == VALID).to_numpy()).astype(np.int64)


def part_numbers(n: int) -> Ints:
    """Return the part of a session that each of ``n`` trials lies in: 20 trials each or more, 50 at most.

    Examples
    --------
    >>> np.bincount(part_numbers(50)).tolist(), np.bincount(part_numbers(3)).tolist()
    ([25, 25], [3])
    """
    parts = np.array_split(np.arange(n), int(np.clip(n // TRIALS_A_BLOCK, 1, MOST_BLOCKS)))
    return np.repeat(np.arange(len(parts)), [part.size for part in parts]).astype(np.int64)


def block_table(member: Member, population: Floats) -> pl.DataFrame:
    """Cut the session into parts, see `part_numbers`.

    Parameters
    ----------
    member
    population : (T,) float64
        Mean response to every valid trial, see `population_response`.

    Returns
    -------
    Table ``position, n_trials, n_used, response, eye_tracked, running_tracked``; without parts that have no
    place in the session, because none of their trials has an onset.
    """
    n, recording = member.trials.height, member.recording
    level = np.full(n, np.nan)
    level[valid_rows(member)] = population
    columns = {"position": signals.trial_positions(recording), "response": level}
    if recording.eye is not None:
        columns["eye_tracked"] = member.eye["valid"].to_numpy()
    if recording.treadmill is not None:
        columns["running_tracked"] = member.treadmill["valid"].to_numpy()
    number = part_numbers(n)
    trials = pl.DataFrame(columns).with_columns(pl.all().cast(pl.Float64).fill_nan(None))
    absent = [name for name in ("eye_tracked", "running_tracked") if name not in columns]
    trials = trials.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
    table = (
        trials.with_columns(part=number, used=member.trials["used"])
        .group_by("part")
        .agg(
            pl.col("position").mean(),
            pl.len().cast(pl.Int64).alias("n_trials"),
            pl.col("used").sum().cast(pl.Int64).alias("n_used"),
            pl.col("response", "eye_tracked", "running_tracked").mean(),
        )
    )
    return table.sort("part").drop("part").drop_nulls("position")


def overview_table(member: Member) -> pl.DataFrame:
    """Downsample activity, eye and running over the whole session."""
    recording = member.recording
    end = signals.length(recording)
    channels = {signals.ACTIVITY: signals.population_signal(recording, soma_rows(recording.units))}
    channels |= signals.behavior_signals(recording)
    return pl.concat(
        signals.overview(signal, end).select(pl.lit(channel).alias("channel"), pl.all())
        for channel, signal in channels.items()
    )


def example_table(member: Member, units: pl.DataFrame) -> pl.DataFrame:
    """Cut out a closer look: six units from the most reliable to the least, eye and running.

    Parameters
    ----------
    member
    units
        See `unit_table`.
    """
    recording = member.recording
    ranked = units.sort(pl.col("silent"), -pl.col("oracle").fill_null(-2), -pl.col("std"), "neuron_id")
    picked = np.unique(np.linspace(0, units.height - 1, min(units.height, EXAMPLES)).round().astype(int))
    chosen = ranked[picked].select("neuron_id", "unit_id").rows()
    somata = soma_rows(recording.units)
    channels = {f"unit {unit}": signals.unit_signal(recording, int(somata[n])) for n, unit in chosen}
    channels |= signals.behavior_signals(recording)
    seconds = isinstance(recording.activity, Traces)
    table = signals.close_look(channels, signals.trial_positions(recording), seconds)
    numbers = {f"unit {unit}": unit for _, unit in chosen}
    unit_id = pl.col("channel").replace_strict(numbers, default=None, return_dtype=pl.Int64)
    return table.select("channel", unit_id.alias("unit_id"), "position", "value")

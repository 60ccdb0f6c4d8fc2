"""All numbers of one member of a group, as the tables of a dataset report."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.leakage import FEWEST_PAIRS, lag_correlations, pairs
from inception_loop.dataset.responses import soma_rows
from inception_loop.dataset.trial_status import VALID
from inception_loop.dataset.trials import USED
from inception_loop.quality import signals
from inception_loop.quality.findings import judge, worst
from inception_loop.quality.kind import Quality
from inception_loop.quality.member import Member
from inception_loop.quality.numbers import (
    NUMBERS,
    Numbers,
    behavior_numbers,
    median,
    sample_numbers,
    session_numbers,
    trial_numbers,
    unit_numbers,
)
from inception_loop.quality.responses import (
    FAR_LAGS,
    LAGS,
    block_spread,
    population_response,
)
from inception_loop.quality.rules import QualityRules
from inception_loop.quality.session import (
    block_table,
    example_table,
    overview_table,
    part_numbers,
    valid_rows,
)
from inception_loop.quality.units import histogram, place_table, unit_table
from inception_loop.recordings.recording import Traces, TrialResponses

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def measure(member: Member, rules: QualityRules) -> Quality:
    """Measure and judge one member; every table has its name in front."""
    rows = valid_rows(member)
    lags = lag_correlations(member.responses, rows, LAGS)
    units = unit_table(member, lags, rules.repeats)
    scale = (units["std"].to_numpy(), units["size"].to_numpy())
    population = population_response(member.responses, *scale)
    spread = block_spread(member.responses, scale[0], part_numbers(member.trials.height)[rows])
    blocks, lost = block_table(member, population), lost_samples(member)
    found: Numbers = {
        **trial_numbers(member, rules.repeats),
        **behavior_numbers(member),
        **sample_numbers(member, lost),
        **unit_numbers(member, units, rules.repeats),
        **session_numbers(member, population, spread, lags),
    }
    numbers = {key: _known(found[key]) for key in NUMBERS}
    why = dict.fromkeys(("lag1", "leakage"), unpaired(rows, member.trials.height, lags))
    findings = judge(numbers, rules, why, ordered=member.ordered)
    tables = {
        "scans": _scan(member, worst(findings["severity"])),
        "findings": findings,
        "numbers": _rows([(key, numbers[key], what) for key, what in NUMBERS.items()], _NUMBERS),
        "trials": fates(member.trials),
        "lost_samples": lost,
        "places": place_table(units),
        "units": units.drop("brain_area", "layer", "size"),
        "oracle_histogram": histogram(units["oracle"]),
        "lags": _lags(lags),
        "blocks": blocks,
        "overview": overview_table(member),
        "examples": example_table(member, units),
    }
    name = pl.lit(member.name).alias("name")
    return Quality(**{table: frame.select(name, pl.all()) for table, frame in tables.items()})


_NUMBERS = {"key": pl.String, "value": pl.Float64, "definition": pl.String}
_LAGS = {"lag": pl.Int64, "correlation": pl.Float64}
_LOST = {
    "part": pl.String,
    "recorded": pl.Boolean,
    "n_samples": pl.Int64,
    "n_lost": pl.Int64,
    "n_filled": pl.Int64,
    "n_trials_without": pl.Int64,
}


def _rows(rows: list[tuple[Any, ...]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _scan(member: Member, verdict: str) -> pl.DataFrame:
    seconds = isinstance(member.recording.activity, Traces)
    row = {
        **member.recording.scan.model_dump(),
        "verdict": verdict,
        "trace_kind": member.recording.trace_kind,
        "clock": "s" if seconds else "trial",
        "length": signals.length(member.recording),
        "n_trials": member.trials.height,
        "n_used": int(member.trials["used"].sum()),
        "n_units": member.units.height,
    }
    return pl.DataFrame([row])


def fates(trials: pl.DataFrame) -> pl.DataFrame:
    """Count trials by what became of them, the used ones first.

    Examples
    --------
    >>> fates(pl.DataFrame({"reason": ["", "eye untracked", ""]})).rows()
    [('used', 2), ('eye untracked', 1)]
    """
    fate = pl.when(pl.col("reason") == USED).then(pl.lit("used")).otherwise("reason").alias("fate")
    counts = trials.select(fate).group_by("fate").agg(pl.len().cast(pl.Int64).alias("n"))
    return counts.sort(pl.col("fate") != "used", -pl.col("n"), "fate")


def unpaired(rows: Ints, n: int, lags: Floats) -> str:
    """Say why it is not known how alike successive trials are.

    Parameters
    ----------
    rows : (T,) int64
        Places of the trials with responses among the ``n`` shown.
    n
        Trials shown.
    lags : (lags, N) float64
        See `lag_correlations`.

    Examples
    --------
    >>> unpaired(np.arange(0, 100, 2), 100, np.full((10, 1), np.nan))
    '50 of 100 trials have a response, but only 0 of them follow one directly; 3 are needed.'
    """
    for lag, how in ((1, "directly"), *((far, f"{far} trials later") for far in FAR_LAGS)):
        found = pairs(rows, lag)[0].size
        if found < FEWEST_PAIRS:
            return (
                f"{rows.size:,} of {n:,} trials have a response, but only {found} of them follow one {how}; "
                f"{FEWEST_PAIRS} are needed."
            )
    if not np.isfinite(lags).any():
        return "No unit varies."
    return "The dataset was made before this was measured: make it again."


def _lags(lags: Floats) -> pl.DataFrame:
    rows = [(lag, median(row)) for lag, row in zip(LAGS, lags, strict=True)]
    return _rows([row for row in rows if row[1] is not None], _LAGS)


def lost_samples(member: Member) -> pl.DataFrame:
    """Count what was lost and what was interpolated of traces, eye and treadmill."""
    recording, somata = member.recording, soma_rows(member.recording.units)
    activity, filled = recording.activity, member.filled["traces"]
    if isinstance(activity, TrialResponses):
        size = somata.size * activity.values.shape[0]
        counts = (size, sum(int(np.isnan(trial[somata]).sum()) for trial in activity.values), 0)
    else:  # every lost sample of a trace was interpolated
        counts = (somata.size * activity.values.shape[1], filled, filled)
    without = member.status.filter(pl.col("status") != VALID).height
    rows: list[tuple[Any, ...]] = [("traces", True, *counts, without)]
    for part, source, table in (
        ("eye", recording.eye, member.eye),
        ("treadmill", recording.treadmill, member.treadmill),
    ):
        samples = [value for name, value in vars(source).items() if name != "time"] if source else []
        lost = sum(int(np.isnan(value).sum()) for value in samples)
        known = (sum(map(len, samples)), lost, member.filled[part]) if source else (None, None, None)
        rows.append((part, source is not None, *known, table.filter(~pl.col("valid")).height))
    return _rows(rows, _LOST)

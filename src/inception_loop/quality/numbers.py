"""The numbers of one member: what is judged, and what else one wants to know."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.trials import IN_CLOSED_LOOP, NO_EYE, NO_RUNNING, USED, WITHOUT_TIER
from inception_loop.quality import signals
from inception_loop.quality.member import Member
from inception_loop.quality.responses import LAGS, leakage, thirds_change
from inception_loop.quality.units import LEAST_TRIALS, repeated_trials
from inception_loop.recordings.recording import Traces

Floats = npt.NDArray[np.float64]
Numbers = dict[str, float | None]

BY_DESIGN = (USED, IN_CLOSED_LOOP, WITHOUT_TIER)
LEAST_BLOCKS = 5
VANISHED = 0.2
RUNS = 1.0

NUMBERS = {
    "n_trials": "trials shown",
    "n_used": "trials used",
    "training_trials": "used trials of tier train",
    "validation_trials": "used trials of tier validation",
    "test_trials": "used trials of tier test",
    "trials_lost": "share of the trials shown that are lost for other reasons than eye, running or tier",
    "eye_tracked": "share of the trials shown in which pupil radius, its derivative and centre are known",
    "pupil_change": "s.d. of the pupil's radius over tracked trials, relative to its mean",
    "running_tracked": "share of the trials shown in which the running speed is known",
    "running_share": "share of these in which the animal runs faster than 1 cm/s",
    "top_speed": "highest running speed of any trial, cm/s",
    "frames_missing": "share of the session without frames: gaps of the clock of more than 1.5 intervals",
    "samples_filled": "share of the samples of the traces that were NaN and are interpolated",
    "n_units": "units (somata)",
    "silent_units": "share of the units whose responses to all valid trials are equal",
    "sparseness": "median over the other units of lifetime sparseness, 0 dense to 1 sparse",
    "zero_share": "median over all units of the share of responses that are exactly 0",
    "dropout": "share of the parts of the session with a mean response below a fifth of their upper quartile",
    "drift": "mean response in the last third of the trials minus the first, relative to that of all",
    "lag1": "median over units of the correlation of successive trials",
    "leakage": "the same, minus the mean correlation of trials 3, 4 and 5 apart",
    "repeated_images": "test images with as many used trials as the rules ask for",
    "oracle": "median over the units that vary of the jackknife oracle correlation",
    "oracle_trials": "trials that it is taken over: test images used at least twice",
    "lookalikes": "share of the test images that look like an image of another tier",
}
"""Key → what the number is."""


def median(values: Floats) -> float | None:
    """Median of what is known."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def trial_numbers(member: Member, repeats: int) -> Numbers:
    """Count trials; ``repeats``: how often a test image must have been used."""
    trials, used = member.trials, member.trials.filter("used")
    lost = trials.filter(~pl.col("reason").is_in([*BY_DESIGN, NO_EYE, NO_RUNNING]))
    test = used.filter(tier="test").group_by("condition_hash").len()
    images, alike = test["condition_hash"].to_list(), member.lookalikes
    compared = bool(images) and alike is not None
    return {
        "n_trials": trials.height,
        "n_used": used.height,
        "training_trials": used.filter(tier="train").height,
        "validation_trials": used.filter(tier="validation").height,
        "test_trials": used.filter(tier="test").height,
        "trials_lost": lost.height / trials.height,
        "repeated_images": test.filter(pl.col("len") >= repeats).height,
        "lookalikes": sum(image in (alike or ()) for image in images) / len(images) if compared else None,
    }


def behavior_numbers(member: Member) -> Numbers:
    """Say how much of eye and running is known, and whether they ever change."""
    eye, treadmill = member.eye, member.treadmill
    pupil = eye["pupil"].drop_nulls().to_numpy()
    speed = treadmill["treadmill"].drop_nulls().to_numpy()
    has_eye, has_treadmill = member.recording.eye is not None, member.recording.treadmill is not None
    size = abs(float(pupil.mean())) if pupil.size else 0.0
    return {
        "eye_tracked": float(eye["valid"].to_numpy().mean()) if has_eye else None,
        "pupil_change": float(pupil.std(ddof=1)) / size if pupil.size > 1 and size > 0 else None,
        "running_tracked": float(treadmill["valid"].to_numpy().mean()) if has_treadmill else None,
        "running_share": float((speed > RUNS).mean()) if speed.size else None,
        "top_speed": float(speed.max()) if speed.size else None,
    }


def sample_numbers(member: Member, lost: pl.DataFrame) -> Numbers:
    """Say how much of the traces is missing; ``lost``: see `lost_samples`."""
    activity = member.recording.activity
    if not isinstance(activity, Traces):
        return {"frames_missing": None, "samples_filled": None}
    n_samples, n_filled = lost.filter(part="traces").select("n_samples", "n_filled").row(0)
    return {
        "frames_missing": signals.missing_time(activity.frame_times),
        "samples_filled": n_filled / n_samples,
    }


def unit_numbers(member: Member, units: pl.DataFrame) -> Numbers:
    """Sum up the units; see `unit_table`."""
    loud = units.filter(~pl.col("silent"))
    return {
        "n_units": units.height,
        "silent_units": 1 - loud.height / units.height,
        "sparseness": median(loud["sparseness"].drop_nulls().to_numpy()),
        "zero_share": median(units["zero_share"].to_numpy()),
        "oracle": median(units["oracle"].drop_nulls().to_numpy()),
        "oracle_trials": repeated_trials(member).height,
    }


def session_numbers(population: Floats, blocks: pl.DataFrame, lags: Floats) -> Numbers:
    """Say how steady the session was.

    Parameters
    ----------
    population : (T,) float64
        See `population_response`.
    blocks
        See `block_table`.
    lags : (lags, N) float64
        See `lag_correlations`.
    """
    level = blocks["response"].drop_nulls().to_numpy()
    usual = float(np.quantile(level, 0.75)) if level.size else 0.0
    return {
        "drift": float(thirds_change(population)) if population.size >= LEAST_TRIALS else None,
        "dropout": float((level < VANISHED * usual).mean()) if level.size >= LEAST_BLOCKS else None,
        "lag1": median(lags[LAGS.index(1)]),
        "leakage": median(leakage(lags)),
    }

"""The numbers of one member: what is judged, and what else one wants to know."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.trials import IN_CLOSED_LOOP, NO_EYE, NO_RUNNING, USED, WITHOUT_TIER
from inception_loop.quality import signals
from inception_loop.quality.member import Member
from inception_loop.quality.responses import leakage, thirds_change
from inception_loop.quality.units import LEAST_TRIALS, repeated_trials
from inception_loop.recordings.recording import Traces

Floats = npt.NDArray[np.float64]
Numbers = dict[str, float | None]

BY_DESIGN = (USED, IN_CLOSED_LOOP, WITHOUT_TIER)
EXCLUDED = "excluded:"
LEAST_BLOCKS = 5
VANISHED = 0.2
RUNS = 1.0

NUMBERS = {
    "n_trials": "trials shown",
    "n_used": "trials used",
    "training_trials": "used trials of tier train",
    "validation_trials": "used trials of tier validation",
    "test_trials": "used trials of tier test",
    "trials_excluded": "trials left out on purpose: excluded by hand or withheld by the source",
    "trials_lost": "share of all other trials that are lost for other reasons than eye, running or tier",
    "eye_tracked": "share of all other trials in which pupil radius, its derivative and centre are known",
    "pupil_change": "s.d. of the pupil's radius over tracked trials, relative to its mean",
    "gaze_change": "s.d. of the pupil's centre where it moves less (x or y), relative to the mean radius",
    "running_tracked": "share of all trials not left out on purpose in which the running speed is known",
    "running_share": "share of these in which the animal runs faster than 1 cm/s",
    "top_speed": "highest running speed of any trial, cm/s",
    "frames_missing": "share of the session without frames: gaps of the clock of more than 1.5 intervals",
    "samples_filled": "share of the samples of the traces that were NaN and are interpolated",
    "n_units": "units (somata)",
    "silent_units": "share of the units whose responses to all valid trials are equal",
    "sparseness": "median over the other units of lifetime sparseness, 0 dense to 1 sparse",
    "zero_share": "median over all units of the share of responses that are exactly 0",
    "dropout": "share of the parts of the session in which responses vary less than a fifth of the parts' "
    "upper quartile (s.d. of each unit by its s.d. of all trials, mean over units)",
    "drift": "mean response in the last third of the trials minus the first, relative to mean size of all",
    "lag1": "median over units of the correlation of successive trials (lag1_leakage of the dataset)",
    "leakage": "the same, minus the mean correlation of trials 3, 4 and 5 apart",
    "repeated_images": "test images with as many used trials as the rules ask for",
    "oracle": "median over the units that vary of the jackknife oracle correlation",
    "oracle_trials": "trials that it is taken over: those of the repeated test images",
    "lookalikes": "share of the test images that look like an image of another tier",
    "pairs_across_tiers": "pairs of images of the group that look alike and have different tiers",
    "sources_in_two_tiers": "photographs of the group that images of different tiers were cut from",
}
"""Key → what the number is."""


def median(values: Floats) -> float | None:
    """Median of what is known."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def trial_numbers(member: Member, repeats: int) -> Numbers:
    """Count trials; ``repeats``: how often a test image must have been used."""
    trials, used = member.trials, member.trials.filter("used")
    meant = trials.filter(~excluded(trials))
    lost = meant.filter(~pl.col("reason").is_in([*BY_DESIGN, NO_EYE, NO_RUNNING]))
    test = used.filter(tier="test").group_by("condition_hash").len()
    images, alike = test["condition_hash"].to_list(), member.lookalikes
    compared = bool(images) and alike is not None
    return {
        "n_trials": trials.height,
        "n_used": used.height,
        "training_trials": used.filter(tier="train").height,
        "validation_trials": used.filter(tier="validation").height,
        "test_trials": used.filter(tier="test").height,
        "trials_excluded": trials.height - meant.height,
        "trials_lost": lost.height / meant.height if meant.height else 0.0,
        "repeated_images": test.filter(pl.col("len") >= repeats).height,
        "lookalikes": sum(image in (alike or ()) for image in images) / len(images) if compared else None,
        "pairs_across_tiers": member.pairs_across_tiers,
        "sources_in_two_tiers": member.sources_in_two_tiers,
    }


def excluded(trials: pl.DataFrame) -> pl.Series:
    """Say which trials were left out on purpose, by hand or by the source; they are no loss.

    Examples
    --------
    >>> excluded(pl.DataFrame({"reason": ["", "excluded: moved", "eye untracked"]})).to_list()
    [False, True, False]
    """
    return trials["reason"].str.starts_with(EXCLUDED)


def behavior_numbers(member: Member) -> Numbers:
    """Say how much of eye and running is known, and whether they ever change."""
    meant = ~excluded(member.trials)
    eye, treadmill = member.eye.filter(meant), member.treadmill.filter(meant)
    pupil = eye["pupil"].drop_nulls().to_numpy()
    speed = treadmill["treadmill"].drop_nulls().to_numpy()
    has_eye, has_treadmill = member.recording.eye is not None, member.recording.treadmill is not None
    size = abs(float(pupil.mean())) if pupil.size else 0.0
    return {
        "eye_tracked": _share(eye) if has_eye else None,
        "pupil_change": _change(pupil, size),
        "gaze_change": _gaze_change(eye, size),
        "running_tracked": _share(treadmill) if has_treadmill else None,
        "running_share": float((speed > RUNS).mean()) if speed.size else None,
        "top_speed": float(speed.max()) if speed.size else None,
    }


def _share(table: pl.DataFrame) -> float | None:
    return float(table["valid"].to_numpy().mean()) if table.height else None


def _change(values: Floats, size: float) -> float | None:
    """Return the s.d. by some size; what never changes has 0, even where the size is 0 too."""
    if values.size < 2:
        return None
    std = float(values.std(ddof=1)) if values.max() > values.min() else 0.0
    return std / size if size > 0 else 0.0 if std == 0 else None


def _gaze_change(eye: pl.DataFrame, radius: float) -> float | None:
    both = [_change(eye[name].drop_nulls().to_numpy(), radius) for name in ("center_x", "center_y")]
    known = [one for one in both if one is not None]
    return min(known) if known else None


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


def unit_numbers(member: Member, units: pl.DataFrame, repeats: int) -> Numbers:
    """Sum up the units; see `unit_table`; ``repeats``: how often a test image must have been used."""
    loud = units.filter(~pl.col("silent"))
    return {
        "n_units": units.height,
        "silent_units": 1 - loud.height / units.height,
        "sparseness": median(loud["sparseness"].drop_nulls().to_numpy()),
        "zero_share": median(units["zero_share"].to_numpy()),
        "oracle": median(units["oracle"].drop_nulls().to_numpy()),
        "oracle_trials": repeated_trials(member, repeats).height,
    }


def session_numbers(member: Member, population: Floats, spread: Floats, lags: Floats) -> Numbers:
    """Say how steady the session was.

    Parameters
    ----------
    member
    population : (T,) float64
        See `population_response`.
    spread : (parts,) float64
        See `block_spread`.
    lags : (lags, N) float64
        See `lag_correlations`.
    """
    level = spread[np.isfinite(spread)]
    usual = float(np.quantile(level, 0.75)) if level.size else 0.0
    return {
        "drift": float(thirds_change(population)) if population.size >= LEAST_TRIALS else None,
        "dropout": float((level < VANISHED * usual).mean()) if level.size >= LEAST_BLOCKS else None,
        "lag1": member.lag1,
        "leakage": median(leakage(lags)),
    }

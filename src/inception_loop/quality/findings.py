"""Signs of trouble: what is looked at, from where on it counts, what it means and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from inception_loop.quality.rules import Limits, QualityRules

Severity = Literal["ok", "warn", "bad", "unknown"]
Unit = Literal["share", "count", "correlation", "change", "cm/s"]
WORSE: tuple[Severity, ...] = ("ok", "unknown", "warn", "bad")
"""From good to bad; what is not known is no sign of trouble."""


@dataclass(frozen=True)
class Check:
    """One thing that is looked at.

    Attributes
    ----------
    key : name of the number and of its limits in `QualityRules`
    title : in a few words
    unit : how the number is written
    worse : on which side of its limits it is a sign of trouble; ``away``: far from 0 on either side
    says : the finding as a sentence; ``{}`` stands for the number
    advice : what to do where it is one
    absent : why the number is not known, where it is not
    """

    key: str
    title: str
    unit: Unit
    worse: Literal["above", "below", "away"]
    says: str
    advice: str
    absent: str


NOT_BINNED = "Not recorded: the responses were handed over as one value a trial."
CHECKS = (
    Check(
        "trials_lost",
        "Trials lost",
        "share",
        "above",
        "{} of the trials are lost for other reasons than eye or running.",
        "Read the reasons under “Trials”: missing flips point to the photodiode, trials outside the "
        "recording to "
        "a scan that ended early, lost responses to missing frames.",
        "No trials were shown.",
    ),
    Check(
        "training_trials",
        "Trials to learn from",
        "count",
        "below",
        "{} trials are left to learn from.",
        "Record longer, or mend what made trials fall out; so few trials teach a network little.",
        "No trials were shown.",
    ),
    Check(
        "eye_tracked",
        "Eye tracked",
        "share",
        "below",
        "The pupil was tracked in {} of the trials; the others cannot be used with it.",
        "See below where the pupil is lost: fit the eye video again, clear the camera’s view, or set "
        "missing.untracked to 'impute' if the eye matters little.",
        "The eye was not recorded.",
    ),
    Check(
        "pupil_change",
        "Pupil changes",
        "share",
        "below",
        "The pupil’s radius varies by {} of its mean only.",
        "A pupil that never changes is a frozen camera or a stuck fit: look at the eye video before training "
        "with it.",
        "The eye was not recorded.",
    ),
    Check(
        "running_tracked",
        "Running tracked",
        "share",
        "below",
        "The running speed is known in {} of the trials; the others cannot be used with it.",
        "A wheel’s encoder loses nothing by itself: check its cable, and whether its file covers the "
        "session.",
        "Running was not recorded.",
    ),
    Check(
        "top_speed",
        "Wheel turns",
        "cm/s",
        "below",
        "The wheel never turned faster than {}.",
        "Either the animal sat still for the whole session or the encoder was not plugged in: look at the "
        "video.",
        "Running was not recorded.",
    ),
    Check(
        "frames_missing",
        "Frames missing",
        "share",
        "above",
        "The scanner’s clock has no frames for {} of the session.",
        "Frames were dropped: check the acquisition’s log and disk; trials in the gaps are interpolated.",
        NOT_BINNED,
    ),
    Check(
        "samples_filled",
        "Samples filled",
        "share",
        "above",
        "{} of the samples of the traces were lost and are interpolated.",
        "Find out what blanked the frames (light leaking from the monitor, a shutter, motion correction) "
        "before "
        "trusting the responses.",
        NOT_BINNED,
    ),
    Check(
        "silent_units",
        "Silent units",
        "share",
        "above",
        "{} of the units never change: the same response to every trial.",
        "Masks without a cell or a failed deconvolution: look at their traces, and leave them out of the "
        "recording.",
        "There are no units.",
    ),
    Check(
        "dropout",
        "Activity vanishes",
        "share",
        "above",
        "For {} of the session the activity of all units is below a fifth of what is usual.",
        "Lost immersion water, a closed shutter or a lost plane: list the trials of that time in "
        "excluded_trials.",
        "Too few trials to tell.",
    ),
    Check(
        "drift",
        "Responses drift",
        "change",
        "away",
        "From the first to the last third of the session the mean response changes by {}.",
        "Bleaching, drying water or a sinking brain: compare the first and last mean images, and use the "
        "part "
        "of the session that is steady.",
        "Too few trials to tell.",
    ),
    Check(
        "leakage",
        "Leaks into next trial",
        "correlation",
        "above",
        "Responses of successive trials correlate by {} more than those of trials 3 to 5 apart.",
        "The traces are too slow: each response holds a part of the last one. Deconvolve them, or hand them "
        "over as what they are (trace_kind 'dff') and set raw_fluorescence.policy to 'oasis'.",
        "Too few trials follow one another.",
    ),
    Check(
        "oracle",
        "Median oracle",
        "correlation",
        "below",
        "The other repeats of an image predict the median unit’s response to it with a correlation of {} "
        "only.",
        "The units hardly answer to the images: check that images and responses are aligned (flips, clocks, "
        "order of the trials) before anything else.",
        "No test image was repeated.",
    ),
    Check(
        "repeated_images",
        "Repeated test images",
        "count",
        "below",
        "{} test images have {repeats} or more trials that are used.",
        "Networks can be trained, but how reliable a unit is stays unknown: units cannot be selected for "
        "images. "
        "Show about 100 images ten times each, and mend what made trials fall out.",
        "No trials were shown.",
    ),
    Check(
        "lookalikes",
        "Test images seen before",
        "share",
        "above",
        "{} of the test images look like an image of another tier.",
        "Test scores would be too good: give both images one source_id, or set tiers.near_duplicates to "
        "'same_tier'.",
        "Images were not compared.",
    ),
)


def shown(value: float, unit: str) -> str:
    """Write a number as a person reads it.

    Examples
    --------
    >>> shown(0.476, "share"), shown(-0.5612, "change"), shown(0.2311, "correlation"), shown(1071, "count")
    ('48 %', '−56 %', '0.23', '1,071')
    >>> shown(0.005, "share"), shown(0.00001, "share"), shown(0.9999, "share")
    ('0.5 %', 'under 0.1 %', '99.9 %')
    """
    if unit == "share":
        return _percent(100 * value)
    if unit == "change":
        return f"{100 * value:+.0f} %".replace("-", "−")
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "cm/s":
        return f"{value:.1f} cm/s"
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _percent(value: float) -> str:
    if 0 < value < 0.05:
        return "under 0.1 %"
    if 99.5 <= value < 100:
        return f"{min(value, 99.9):.1f} %"
    small = value < 10 and abs(value - round(value)) >= 0.05
    return f"{value:.{1 if small else 0}f} %"


def severity(value: float | None, limits: Limits, worse: str) -> Severity:
    """Say how bad a number is.

    Examples
    --------
    >>> severity(0.3, Limits(warn=0.1, bad=0.2), "above"), severity(-0.4, Limits(warn=0.3), "away")
    ('bad', 'warn')
    >>> severity(0.1, Limits(warn=0.1), "below"), severity(None, Limits(warn=0.1), "below")
    ('ok', 'unknown')
    """
    if value is None:
        return "unknown"
    sign = -1 if worse == "below" else 1
    at = abs(value) if worse == "away" else value
    for name in ("bad", "warn"):
        limit = getattr(limits, name)
        if limit is not None and sign * (at - limit) > 0:
            return "bad" if name == "bad" else "warn"
    return "ok"


def judge(numbers: Mapping[str, float | None], rules: QualityRules) -> pl.DataFrame:
    """Judge every number of `CHECKS`.

    Parameters
    ----------
    numbers
        Key → value, None where it is not known.
    rules
        The limits.

    Returns
    -------
    Table ``key, title, severity, value, unit, worse, warn, bad, text, advice``, in the order of `CHECKS`;
    ``advice`` is empty where nothing is to do.
    """
    rows = []
    for check in CHECKS:
        value, limits = numbers.get(check.key), getattr(rules, check.key)
        found = severity(value, limits, check.worse)
        text = (
            check.absent
            if value is None
            else check.says.format(shown(value, check.unit), repeats=rules.repeats)
        )
        if found == "ok":
            text = text.replace(" only.", ".")
        rows.append(
            {
                "key": check.key,
                "title": check.title,
                "severity": found,
                "value": value,
                "unit": check.unit,
                "worse": check.worse,
                "warn": limits.warn,
                "bad": limits.bad,
                "text": text,
                "advice": check.advice if found in ("warn", "bad") else "",
            }
        )
    floats = dict.fromkeys(("value", "warn", "bad"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=floats)


def worst(severities: pl.Series) -> Severity:
    """Return the verdict on several findings: the worst of them.

    Examples
    --------
    >>> worst(pl.Series(["ok", "unknown", "warn"])), worst(pl.Series(["unknown"]))
    ('warn', 'ok')
    """
    found: Severity = max(severities.to_list(), key=WORSE.index, default="ok")
    return "ok" if found == "unknown" else found

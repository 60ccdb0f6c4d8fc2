"""The dataset report as HTML: a page of its own, and a section of the report of a loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from markupsafe import Markup

from inception_loop.quality.findings import WORSE, Severity, worst
from inception_loop.quality.kind import Quality
from inception_loop.quality.words import (
    MARKS,
    VERDICTS,
    headline,
    limit,
    scan_name,
    troubles,
    value,
    verdict,
)
from inception_loop.report.figures.canvas import Figure
from inception_loop.report.figures.quality import (
    fates_figure,
    leakage_figure,
    places_figure,
    reliability_figure,
    sparseness_figure,
)
from inception_loop.report.figures.session import closer_figure, session_figure, steady_figure
from inception_loop.report.html import environment, text

QUESTION = "Can one train on these recordings and trust them?"


@dataclass(frozen=True)
class ScanPart:
    """One recording, ready to be shown."""

    key: str
    verdict: Severity
    mark: str
    word: str
    troubles: list[dict[str, Any]]
    html: Markup


def render_quality_page(quality: Quality, group_id: int) -> str:
    """Return the dataset report of a group as one HTML page that needs no network.

    Parameters
    ----------
    quality
        What it says.
    group_id
        Number of the group.
    """
    page = (
        environment()
        .get_template("quality.html.jinja")
        .render(
            group_id=group_id,
            verdict=verdict(quality),
            headline=headline(quality).replace(" %", "\u00a0%"),
            question=QUESTION,
            scans=scan_parts(quality, folded=quality.scans.height > 1),
            style=Markup(text("page.css") + text("quality.css")),
        )
    )
    return page.strip() + "\n"


def scan_parts(quality: Quality, *, folded: bool = False) -> list[ScanPart]:
    """Return the recordings one by one; ``folded``: plots of sound ones are shown on request only."""
    return [_scan_part(quality.of(name), folded) for name in quality.names]


def _scan_part(quality: Quality, folded: bool) -> ScanPart:
    scan = quality.scans.row(0, named=True)
    key, found = scan_name(scan), scan["verdict"]
    findings = [_ready(row) for row in quality.findings.iter_rows(named=True)]
    bad = [_ready(row) for row in troubles(quality.findings)]
    part = {
        "key": key,
        "verdict": found,
        "mark": MARKS[found],
        "word": VERDICTS[found],
        "troubles": bad,
    }
    html = (
        environment()
        .get_template("scan_quality.html.jinja")
        .render(
            folded=folded,
            scan={
                **part,
                "facts": facts(scan),
                "findings": findings,
                "figures": [_judged(one, keys, key, findings) for one, keys in figures(quality)],
                "lost": quality.lost_samples.to_dicts(),
                "numbers": quality.numbers.to_dicts(),
            },
        )
    )
    return ScanPart(**part, html=Markup(html))


def _ready(finding: dict[str, Any]) -> dict[str, Any]:
    mark = MARKS[finding["severity"]]
    return {**finding, "mark": mark, "shown": value(finding), "limit": limit(finding)}


def facts(scan: dict[str, Any]) -> str:
    """Say in one line what was recorded.

    Examples
    --------
    >>> facts({"n_trials": 1400, "n_used": 1388, "n_units": 200, "clock": "s", "length": 1320.0,
    ...        "trace_kind": "deconvolved"})
    '1,388 of 1,400 trials used · 200 units · 22 minutes · deconvolved activity'
    """
    length = f"{scan['length'] / 60:.0f} minutes" if scan["clock"] == "s" else "one value a trial and unit"
    return (
        f"{scan['n_used']:,} of {scan['n_trials']:,} trials used · {scan['n_units']:,} units · "
        f"{length} · {scan['trace_kind']} activity"
    )


def figures(quality: Quality) -> list[tuple[Figure, tuple[str, ...]]]:
    """Return the figures that one recording allows, each with the keys of the findings that it shows."""
    clock = str(quality.scans["clock"][0])
    tones = dict(quality.findings.select("key", "severity").rows())
    found: list[tuple[Figure, tuple[str, ...]]] = [(session_figure(quality.overview, clock), IN_SESSION)]
    if quality.examples.height:
        found.append((closer_figure(quality.examples, quality.units, clock), ()))
    found.append((fates_figure(quality.trials), TRIALS))
    found.append((places_figure(quality.places, tones["silent_units"]), ("silent_units",)))
    if quality.blocks["response"].count():
        found.append((steady_figure(quality.blocks, clock, tones["drift"]), ("drift", "dropout")))
    if quality.lags.height:
        found.append((leakage_figure(quality.lags, _tone(tones, LAGS)), LAGS))
    if quality.oracle_histogram.height:
        median = float(quality.findings.filter(pl.col("key") == "oracle")["value"][0])
        figure = reliability_figure(quality.oracle_histogram, median, tones["oracle"])
        found.append((figure, ("oracle", "repeated_images")))
    if quality.units["sparseness"].count():
        found.append((sparseness_figure(quality.units), ()))
    return found


def _tone(tones: dict[str, str], keys: tuple[str, ...]) -> Severity:
    """Return the worst tone of some findings; reports made before one of them was looked at lack it."""
    known = [tones[key] for key in keys if key in tones]
    return max((one for one in WORSE if one in known), key=WORSE.index, default="unknown")


LAGS = ("lag1", "leakage")
TRIALS = ("trials_lost", "training_trials", "validation_trials", "test_trials")
IN_SESSION = (
    "eye_tracked",
    "pupil_change",
    "gaze_change",
    "running_tracked",
    "top_speed",
    "frames_missing",
    "samples_filled",
)


def _judged(
    figure: Figure, keys: tuple[str, ...], scan: str, findings: list[dict[str, Any]]
) -> dict[str, Any]:
    """Put the findings that a figure shows beside it."""
    shown = [finding for finding in findings if finding["key"] in keys]
    tone = worst(pl.Series([finding["severity"] for finding in shown])) if shown else ""
    bad = [finding for finding in shown if finding["severity"] in ("warn", "bad")]
    return {"figure": replace(figure, name=f"{scan}-{figure.name}"), "tone": tone, "findings": bad}

"""What a dataset report says in words: on a terminal, in a page, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from inception_loop.quality.findings import Severity, shown, worst
from inception_loop.quality.kind import Quality

MARKS: dict[Severity, str] = {"ok": "✓", "warn": "!", "bad": "✗", "unknown": "–"}
VERDICTS: dict[Severity, str] = {"ok": "sound", "warn": "usable with care", "bad": "bad"}
_SIDES = {
    "above": ("fine up to", "above"),
    "below": ("fine from", "below"),
    "away": ("fine within ±", "beyond ±"),
}


def limit(finding: Mapping[str, Any]) -> str:
    """Say which limit a number was judged by; empty where it was not.

    Parameters
    ----------
    finding
        A row of ``findings``.

    Examples
    --------
    >>> limit({"severity": "bad", "worse": "below", "unit": "share", "warn": 0.8, "bad": 0.5})
    'bad below 50 %'
    >>> limit({"severity": "ok", "worse": "away", "unit": "change", "warn": 0.3, "bad": 0.5})
    'fine within ± 30 %'
    """
    fine, beyond = _SIDES[finding["worse"]]
    unit = "share" if finding["unit"] == "change" else finding["unit"]
    if finding["severity"] in ("warn", "bad"):
        name = finding["severity"]
        return f"{'bad' if name == 'bad' else 'look at it'} {beyond} {shown(finding[name], unit)}"
    first = finding["bad"] if finding["warn"] is None else finding["warn"]
    if finding["severity"] == "unknown" or first is None:
        return ""
    return f"{fine} {shown(first, unit)}" + (" up" if finding["worse"] == "below" else "")


def value(finding: Mapping[str, Any]) -> str:
    """Return a finding's number as a person reads it.

    Examples
    --------
    >>> value({"value": None, "unit": "share"}), value({"value": 0.5, "unit": "share"})
    ('not known', '50 %')
    """
    return "not known" if finding["value"] is None else shown(finding["value"], finding["unit"])


def troubles(findings: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the findings that are a sign of trouble, the bad ones first."""
    found = findings.filter(pl.col("severity").is_in(["warn", "bad"]))
    return found.sort(pl.col("severity") != "bad", maintain_order=True).to_dicts()


def scan_name(scan: Mapping[str, Any]) -> str:
    """Return the scan's key as people write it."""
    return f"{scan['animal_id']}-{scan['session']}-{scan['scan_idx']}"


def verdict(quality: Quality) -> Severity:
    """Return the verdict on all members: the worst."""
    return worst(quality.scans["verdict"])


def headline(quality: Quality) -> str:
    """Return the verdict in one line."""
    found = verdict(quality)
    n = quality.scans.height
    every = "The recording is" if n == 1 else f"All {n} recordings are"
    if found == "ok":
        return f"{every} sound: nothing stands out."
    titles = [_headword(one) for one in troubles(quality.findings.filter(severity=found))]
    some = list(dict.fromkeys(titles)) if n > 1 else titles
    count = quality.scans.filter(verdict=found).height
    what = {"bad": "bad", "warn": "usable with care"}[found]
    who = "The recording is" if n == 1 else f"{count} of {n} recordings {'is' if count == 1 else 'are'}"
    return f"{who} {what}: {', '.join(some)}."


def _headword(finding: Mapping[str, Any]) -> str:
    return f"{finding['title'].lower()} ({value(finding)})"


def verdict_lines(quality: Quality) -> list[str]:
    """Say of every member whether it is sound, and where not, why and what to do; plain lines."""
    lines = []
    for scan in quality.scans.iter_rows(named=True):
        findings = quality.findings.filter(name=scan["name"])
        lines.append(
            f"{MARKS[scan['verdict']]} scan {scan_name(scan)} is {VERDICTS[scan['verdict']]} "
            f"({scan['n_used']:,} of {scan['n_trials']:,} trials used, {scan['n_units']:,} units)"
        )
        for one in troubles(findings):
            lines.append(f"  {MARKS[one['severity']]} {one['text']} ({limit(one)})")
            lines.append(f"      {one['advice']}")
        absent = findings.filter(severity="unknown")["title"].to_list()
        if absent:
            lines.append(f"  – not known: {', '.join(title.lower() for title in absent)}")
    return lines


def markdown(quality: Quality, see: str = "") -> str:
    """Return the report as Markdown: the verdict first, then every scan with its findings.

    Parameters
    ----------
    quality
        What it says.
    see
        How to see the page with its plots; shown under the verdict.
    """
    lines = [f"# {MARKS[verdict(quality)]} {headline(quality)}", ""]
    lines += [see, ""] if see else []
    for scan in quality.scans.iter_rows(named=True):
        findings = quality.findings.filter(name=scan["name"])
        lines += [f"## {MARKS[scan['verdict']]} Scan {scan_name(scan)}: {VERDICTS[scan['verdict']]}", ""]
        lines += [
            f"{scan['n_used']:,} of {scan['n_trials']:,} trials used, {scan['n_units']:,} units, "
            f"{scan['trace_kind']} activity.",
            "",
        ]
        lines += [f"- **{one['title']}**: {one['text']} *{one['advice']}*" for one in troubles(findings)]
        lines += ["", "| | what | value | limit |", "|---|---|---|---|"]
        lines += [
            f"| {MARKS[one['severity']]} | {one['title']} | {value(one)} | {limit(one)} |"
            for one in findings.iter_rows(named=True)
        ]
        lines.append("")
    return "\n".join(lines)

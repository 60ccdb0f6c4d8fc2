"""What a person wants to know of a stage as soon as it has ended, as Markdown in Prefect's UI.

Stages whose results have a report of their own (dataset, train, mei) say it in that report's words; here are
the others. Everything is read from manifests and tables, nothing is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import ParamSpec

import polars as pl
from prefect.logging import get_run_logger

from flows._stage import StageResult
from flows.telling import publish
from flows.telling.links import opened
from flows.telling.record import line_of
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.recordings.recording import ScanKey
from inception_loop.report.closed_loop.lines import report_lines
from inception_loop.report.words import count
from inception_loop.selection.why import markdown_of, why_units_fell_out
from inception_loop.stimuli.export_words import duration

COUNTED = {
    "recording": {"n_trials": "trials", "n_excluded": "excluded", "n_masks": "masks"},
    "static_scan": {"n_units": "units", "n_units_without_place": "without a place"},
    "monitor_calibration": {"measured": "monitor measured"},
}
"""Kind → finding of its manifest → what it is called."""
Row = Mapping[str, object]
P = ParamSpec("P")


def shown_or_said(tell: Callable[P, None]) -> Callable[P, None]:
    """Return ``tell`` as one that fails no run: the artifacts stand, whether or not they can be told of."""

    @wraps(tell)
    def told(*args: P.args, **named: P.kwargs) -> None:
        try:
            tell(*args, **named)
        except Exception as error:
            get_run_logger().warning("what this stage has found is not shown: %s", line_of(error))

    return told


@shown_or_said
def tell_scans(store: ArtifactStore, result: StageResult, recordings: Iterable[ArtifactRef] = ()) -> None:
    """Say how many trials and units the scans of a stage have."""
    refs = {**result.refs, "recording": [*recordings, *result.refs.get("recording", ())]}
    rows = scan_rows(store, refs)
    totals = [f"{n:,} {what}" for what in ("trials", "excluded", "units") for n in _sums(rows, what)]
    headline = f"{count(len(rows), 'recording')}: {', '.join(totals)}."
    publish.markdown(f"{result.stage}-findings", f"# {headline}\n\n{grid(rows)}", headline)


def _sums(rows: Sequence[Row], what: str) -> list[int]:
    """Return the sum over scans, if all of them say it."""
    numbers = [value for row in rows for value in [row.get(what)] if isinstance(value, int)]
    return [sum(numbers)] if numbers and len(numbers) == len(rows) else []


def scan_rows(store: ArtifactStore, refs: Mapping[str, Sequence[ArtifactRef]]) -> list[dict[str, object]]:
    """Return what the manifests of the artifacts of each scan count, scan by scan."""
    found: dict[ScanKey, dict[str, object]] = {}
    for kind, names in COUNTED.items():
        for ref in refs.get(kind, ()):
            manifest = store.manifest(ref)
            scan = ScanKey(**manifest.config["scan"])
            row = found.setdefault(scan, {"scan": str(scan)})
            for key, name in names.items():
                row[name] = manifest.findings.get(key, "?")
    return list(found.values())


@shown_or_said
def tell_tiers(store: ArtifactStore, result: StageResult) -> None:
    """Say how many trials and images each tier of a dataset has."""
    for ref in result.refs.get("static_multi_dataset", ()):
        rows = tier_rows(store.table(ref, "trials"))
        findings = store.manifest(ref).findings
        lost = [f"{n} {why}" for why, n in findings.get("lost", {}).items()]
        headline = f"{findings['n_used']:,} of {findings['n_trials']:,} trials used" + (
            f"; lost: {', '.join(lost)}." if lost else "."
        )
        group = store.manifest(ref).config["group_id"]
        publish.markdown(f"tiers-group-{group}", f"# {headline}\n\n{grid(rows)}", headline)


def tier_rows(trials: pl.DataFrame) -> list[dict[str, object]]:
    """Return a row for each member and tier: trials, how many are used, images."""
    counted = trials.group_by("name", "tier").agg(
        trials=pl.len(), used=(pl.col("reason") == "").sum(), images=pl.col("condition_hash").n_unique()
    )
    return counted.sort("name", "tier").to_dicts()


@shown_or_said
def tell_selection(store: ArtifactStore, result: StageResult) -> None:
    """Say how many units were selected and why the others fell out."""
    ref = result.one("corrected_high_unit_selection")
    manifest, models = store.manifest(ref), store.manifest(result.one("model_group"))
    found = manifest.findings
    headline = f"{found['n_selected']} of {count(found['n_candidates'], 'unit')} selected."
    chosen = [f"- {family}: {core}" for family, core in models.findings["core"].items()]
    warnings = [f"- warning: {line}" for line in models.findings["warnings"]]
    why = markdown_of(why_units_fell_out(store.table(ref, ref.kind)))
    text = "\n".join([f"# {headline}", "", *chosen, *warnings, "", why])
    publish.markdown(f"selection-group-{manifest.config['group_id']}", text, headline)


@shown_or_said
def tell_stimulus(store: ArtifactStore, result: StageResult, shown: str, warnings: Sequence[str]) -> None:
    """Say how long the session is, what it shows and how often."""
    ref = result.one("stimulus_set")
    manifest = store.manifest(ref)
    found, session = manifest.findings, manifest.config["session"]
    headline = (
        f"{count(found['n_images'], 'image')} of {count(found['n_units'], 'unit')}, "
        f"{count(session['repeats'], 'repeat')}: {count(found['n_trials'], 'trial')}, "
        f"{duration(found['minutes'])}."
    )
    rows = [{"shown": name, "images": n} for name, n in found["images_by_model_type"].items()]
    lines = [f"- {shown}", *(f"- warning: {line}" for line in warnings)]
    text = "\n".join([f"# {headline}", "", *lines, "", grid(rows)])
    publish.markdown(f"stimulus-loop-{manifest.config['loop_group']}", text, headline)


def answer_lines(store: ArtifactStore, result: StageResult) -> list[str]:
    """Return the answer of a loop, comparison by comparison."""
    evidence, tests = result.one("evidence"), result.one("loop_tests")
    return report_lines(store.table(evidence, "evidence"), store.table(tests, "loop_tests"))


@shown_or_said
def tell_answer(store: ArtifactStore, result: StageResult) -> None:
    """Say whether cells prefer the images that were computed for them, comparison by comparison."""
    evidence = result.one("evidence")
    question, *lines = answer_lines(store, result)
    notes = [f"- note: {line}" for line in store.table(evidence, "notes")["note"]]
    matched = [
        f"- {found['n_matched']} source units matched, {found['n_double_match']} of them to a cell that "
        "another has too"
        for ref in result.refs.get("best_proximity_cell_match", ())
        for found in [store.manifest(ref).findings]
    ]
    said = [f"- {line.strip()}" for line in lines]
    text = "\n".join([f"# {question}", "", *said, "", *matched, *notes])
    publish.markdown(f"answer-loop-{store.manifest(evidence).config['loop_group']}", text, question)


@shown_or_said
def tell_report(store: ArtifactStore, result: StageResult) -> None:
    """Say where the report is and what it says first."""
    ref = result.one("report")
    found = report_lines(store.table(ref, "numbers"), store.table(ref, "tests"))
    recovered = [
        f"- {name}: {value:.3f}"
        for truth in result.refs.get("recovered_truth", ())
        for name, value in store.manifest(truth).findings.items()
        if isinstance(value, float)
    ]
    loop = store.manifest(ref).config["loop_group"]
    command = f"inception-loop report {ref.digest[:12]}"
    see = f"The report: `{command} --store {store.uri}` writes it.{opened(store, ref, 'report')}"
    truth = ["", "## What the animal's truth says", "", *recovered] if recovered else []
    said = [f"- {line.strip()}" for line in found[1:]]
    text = "\n".join([f"# {found[0]}", "", see, "", *said, *truth])
    publish.markdown(f"report-loop-{loop}", text, found[0])


def tell_loop(store: ArtifactStore, stages: Mapping[str, StageResult], reported: StageResult) -> None:
    """Say on the page of the whole loop what its stages did and what it has found."""
    rows = [{"stage": name, **stage.counts()} for name, stage in stages.items()]
    computed, cached = (
        sum(getattr(stage, what) for stage in stages.values()) for what in ("computed", "cached")
    )
    publish.table("loop-stages", rows, f"{computed} steps computed, {cached} already there")
    tell_report(store, reported)


def grid(rows: Sequence[Row]) -> str:
    """Return rows as a table in Markdown.

    Examples
    --------
    >>> print(grid([{"scan": "17-1-2", "trials": 1200}]))
    | scan | trials |
    |---|---|
    | 17-1-2 | 1,200 |
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [" | ".join(names), "|".join(["---"] * len(names))]
    lines += [" | ".join(_shown(row.get(name, "")) for name in names) for row in rows]
    return "\n".join(f"| {line} |" if "-|" not in line else f"|{line}|" for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")

"""What a loop leaves for people and programs: ``report.html``, ``summary.json``, findings in words.

Imports no Prefect, so that a reader can have the report of any store.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError, StoreError
from inception_loop.report.closed_loop.lines import report_lines
from inception_loop.report.collect import collect
from inception_loop.report.summary import build_summary


def write_results(
    store: ArtifactStore,
    report: ArtifactRef,
    output: Path,
    *,
    stages: dict[str, dict[str, float]],
    seconds: float,
) -> dict[str, Any]:
    """Write a report's page and ``summary.json`` into a folder and return the summary."""
    data = collect(store, store.inputs(report))
    write_page(output / "report.html", store.file(report, "report"))
    summary = build_summary(
        seconds=round(seconds, 1),
        store=store.uri,
        report="report.html",
        animal=data.animal,
        seed=data.seed,
        versions=data.versions,
        stages=stages,
        truth=data.truth,
        evidence=data.evidence,
        notes=data.notes,
        answer=report_lines(data.evidence, data.tests),
    )
    write_page(output / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def findings(summary: dict[str, Any], output: Path) -> str:
    """Say what a run has found, in words."""
    truth, stages = summary["truth"], summary["stages"]
    computed = sum(stage["computed"] for stage in stages.values())
    cached = sum(stage["cached"] for stage in stages.values())
    lines = ["", *summary["answer"]]
    lines += [f"  note: {note}" for note in summary["notes"]]
    known = {key: value for key, value in truth.items() if value is not None}
    lines += ["What the animal's truth says:"] if known else []
    lines += [f"  {value:8.3f}  {key}" for key, value in known.items()]
    took = f"({summary['seconds']:.0f} s)"
    if computed:
        lines.append(f"{computed} steps computed, {cached} already there {took}")
    elif cached:
        lines.append(f"Nothing was recomputed: all {cached} steps were already there {took}")
    return "\n".join([*lines, f"Report: {output / 'report.html'}"])


def make_folder(output: Path) -> None:
    """Make the folder for a run's files and try it, with a one-line error where that fails.

    Raises
    ------
    ConfigurationError
        If nothing can be written there.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"cannot write into the folder {output}: {error.strerror}; expected a place to write; "
            "give another --output"
        ) from error


def write_page(path: Path, data: bytes) -> None:
    """Write a file of results, with a one-line error where that fails.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}; expected a place to write; the results "
            "are in the store: run `inception-loop report --output FOLDER`"
        ) from error

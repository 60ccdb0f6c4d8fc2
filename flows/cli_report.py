"""``inception-loop report``: reports that are in the store, as files. Imports no Prefect."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from flows.results import findings, make_folder, write_page, write_results
from inception_loop.artifacts import listing
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ArtifactNotFoundError, ConfigurationError
from inception_loop.quality.kind import load_quality
from inception_loop.quality.words import headline, scan_name, verdict, verdict_lines
from inception_loop.report.learning import load_learning
from inception_loop.report.learning_words import facts, learning_lines
from inception_loop.report.learning_words import headline as learning_headline

LOOP, DATASET, LEARNING = "report", "dataset_report", "learning_report"
MADE_BY = {
    LOOP: "inception-loop demo",
    DATASET: "inception-loop run dataset",
    LEARNING: "inception-loop run train",
}


def write_report(
    digest: str | None, *, dataset: bool = False, learning: bool = False, output: Path, as_json: bool
) -> int:
    """Write the report of a loop, of a dataset or of a training; by default the newest report of a loop.

    Parameters
    ----------
    digest
        Beginning of the digest of a ``report``, ``dataset_report`` or ``learning_report``; None: the newest.
    dataset, learning
        Whether a ``dataset_report`` or a ``learning_report`` is meant.
    output
        Folder of the files.
    as_json
        Whether to print JSON instead of words.

    Raises
    ------
    ConfigurationError
        If both are meant.
    """
    if dataset and learning:
        raise ConfigurationError("--dataset and --learning name two reports; expected one; ask twice")
    store = open_store()
    ref = find_report(store, digest, DATASET if dataset else LEARNING if learning else None)
    make_folder(output)
    sys.stdout.write(WRITERS[ref.kind](store, ref, output, as_json) + "\n")
    return 0


def find_report(store: ArtifactStore, digest: str | None, kind: str | None = None) -> ArtifactRef:
    """Return the report that a person means: of a kind, else of whatever kind has such a digest.

    Raises
    ------
    ArtifactNotFoundError
        If there is none, or several are meant.
    """
    if digest is None:
        return newest_report(store, kind or LOOP)
    missing: ArtifactNotFoundError | None = None
    for one in (kind,) if kind else (LOOP, DATASET, LEARNING):
        try:
            return listing.resolve(store, f"{one}/{digest}")
        except ArtifactNotFoundError as error:
            missing = missing or error
    raise missing or ArtifactNotFoundError(f"{store.uri} holds no report {digest}; see `store list`")


def newest_report(store: ArtifactStore, kind: str = LOOP) -> ArtifactRef:
    """Return the report that was written last, by the store's clock.

    Raises
    ------
    ArtifactNotFoundError
        If there is none.
    """
    found = sorted(listing.artifacts(store, kind), key=lambda one: one.modified)
    if not found:
        raise ArtifactNotFoundError(f"{store.uri} holds no {kind}; expected one; run `{MADE_BY[kind]}` first")
    return found[-1].ref


def _write_loop(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    summary = write_results(store, ref, output, stages={}, seconds=0.0)
    return json.dumps(summary, indent=2) if as_json else findings(summary, output)


def write_learning_report(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    """Write the page of a learning report into a folder and return what it says."""
    path = output / f"{ref.kind}.html"
    write_page(path, store.file(ref, "report"))
    learning = load_learning(store, ref)
    if not as_json:
        return "\n".join([*learning_lines(learning), f"Report: {path}"])
    numbers = {fact.key: fact.value for fact in facts(learning)}
    said = {"headline": learning_headline(learning), **numbers, "report": path.name}
    return json.dumps(said, indent=2)


def write_dataset_report(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    """Write the page of a dataset report into a folder and return what it says."""
    path = output / f"{ref.kind}.html"
    write_page(path, store.file(ref, "report"))
    quality = load_quality(store, ref)
    if not as_json:
        return "\n".join([*verdict_lines(quality), f"Report: {path}"])
    said: dict[str, Any] = {
        "verdict": verdict(quality),
        "headline": headline(quality),
        "scans": {scan_name(row): row["verdict"] for row in quality.scans.iter_rows(named=True)},
        "findings": quality.findings.to_dicts(),
        "report": path.name,
    }
    return json.dumps(said, indent=2)


WRITERS = {LOOP: _write_loop, DATASET: write_dataset_report, LEARNING: write_learning_report}

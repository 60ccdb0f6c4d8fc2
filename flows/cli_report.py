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
from inception_loop.errors import ArtifactNotFoundError
from inception_loop.quality.kind import load_quality
from inception_loop.quality.words import headline, scan_name, verdict, verdict_lines

LOOP, DATASET = "report", "dataset_report"
MADE_BY = {LOOP: "inception-loop demo", DATASET: "inception-loop run dataset"}
DATASET_PAGE = "dataset_report.html"


def write_report(digest: str | None, *, dataset: bool = False, output: Path, as_json: bool) -> int:
    """Write the report of a loop, or that of a dataset; by default the newest report of a loop.

    Parameters
    ----------
    digest
        Beginning of the digest of a ``report`` or a ``dataset_report``; None: the newest.
    dataset
        Whether a ``dataset_report`` is meant.
    output
        Folder of the files.
    as_json
        Whether to print JSON instead of words.
    """
    store = open_store()
    ref = find_report(store, digest, dataset)
    make_folder(output)
    write = write_dataset_report if ref.kind == DATASET else _write_loop
    sys.stdout.write(write(store, ref, output, as_json) + "\n")
    return 0


def find_report(store: ArtifactStore, digest: str | None, dataset: bool) -> ArtifactRef:
    """Return the report that a person means.

    Raises
    ------
    ArtifactNotFoundError
        If there is none, or several are meant.
    """
    kind = DATASET if dataset else LOOP
    if digest is None:
        return newest_report(store, kind)
    try:
        return listing.resolve(store, f"{kind}/{digest}")
    except ArtifactNotFoundError:
        if dataset:
            raise
        try:
            return listing.resolve(store, f"{DATASET}/{digest}")
        except ArtifactNotFoundError:
            pass
        raise


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


def write_dataset_report(store: ArtifactStore, ref: ArtifactRef, output: Path, as_json: bool) -> str:
    """Write the page of a dataset report into a folder and return what it says."""
    path = output / DATASET_PAGE
    write_page(path, store.file(ref, "report"))
    quality = load_quality(store, ref)
    if not as_json:
        return "\n".join([*verdict_lines(quality), f"Report: {path}"])
    said: dict[str, Any] = {
        "verdict": verdict(quality),
        "headline": headline(quality),
        "scans": {scan_name(row): row["verdict"] for row in quality.scans.iter_rows(named=True)},
        "findings": quality.findings.to_dicts(),
        "report": DATASET_PAGE,
    }
    return json.dumps(said, indent=2)

"""``inception-loop report``: the report of a loop that is in the store, as files. Imports no Prefect."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from flows.results import findings, make_folder, write_results
from inception_loop.artifacts import listing
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ArtifactNotFoundError


def write_report(loop: str | None, *, output: Path, as_json: bool) -> int:
    """Write ``report.html`` and ``summary.json`` of a loop; by default of the newest."""
    store = open_store()
    ref = newest_report(store) if loop is None else listing.resolve(store, f"report/{loop}")
    make_folder(output)
    summary = write_results(store, ref, output, stages={}, seconds=0.0)
    text = json.dumps(summary, indent=2) if as_json else findings(summary, output)
    sys.stdout.write(text + "\n")
    return 0


def newest_report(store: ArtifactStore) -> ArtifactRef:
    """Return the report that was written last, by the store's clock.

    Raises
    ------
    ArtifactNotFoundError
        If there is none.
    """
    found = sorted(listing.artifacts(store, "report"), key=lambda one: one.modified)
    if not found:
        raise ArtifactNotFoundError(
            f"{store.uri} holds no report; expected one; run `inception-loop demo` first"
        )
    return found[-1].ref

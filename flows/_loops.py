"""What the command line says of several loops when they have been compared."""

from __future__ import annotations

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.report.loops_report import loops_lines


def loops_report_lines(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    """Return the findings, and how to get the page as a file.

    Parameters
    ----------
    store, ref
        The store, and a ``loops_report`` in it.
    """
    (evidence,) = store.inputs(ref)["loops_evidence"]
    lines = loops_lines(store.table(evidence, "loops_evidence"))
    return [*lines, f"see it: inception-loop report --loops {ref.digest[:12]}"]

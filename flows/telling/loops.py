"""What the command line and Prefect's UI say of several loops when they have been compared."""

from __future__ import annotations

from flows._stage import StageResult
from flows.telling import publish
from flows.telling.links import opened
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.report.loops_report import headline, loops_lines

SHOWN = ("what", "loop", "animal", "value", "lower", "upper", "p_value", "q_value", "n", "n_of")


def tell_loops(store: ArtifactStore, result: StageResult) -> None:
    """Publish the table across loops as a Prefect artifact."""
    ref = result.one("loops_evidence")
    tests, loops = (store.table(ref, name) for name in ("loops_evidence", "loops"))
    publish.table("across-loops", tests.select(SHOWN).to_dicts(), headline(tests, loops))
    (first, *lines), page = loops_lines(tests, loops), opened(store, result.one("loops_report"), "report")
    text = "\n".join([f"# {first}", "", page.strip(), "", *(f"- {line.strip()}" for line in lines)])
    publish.markdown("across-loops-findings", text, first)


def loops_report_lines(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    """Return the findings, and how to get the page as a file.

    Parameters
    ----------
    store, ref
        The store, and a ``loops_report`` in it.
    """
    (evidence,) = store.inputs(ref)["loops_evidence"]
    lines = loops_lines(*(store.table(evidence, name) for name in ("loops_evidence", "loops")))
    return [*lines, f"see it: inception-loop report --loops {ref.digest[:12]}"]

"""Stage *across_loops*: several loops, of one or several animals, in one analysis."""

from __future__ import annotations

from prefect import flow

from flows._asked import Asked
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.telling.loops import tell_loops
from flows.telling.runs import watched
from inception_loop.closed_loop.loops import LoopsEvidenceConfig, evidence_of_loop, make_loops_evidence
from inception_loop.parameters import AcrossLoopsParameters
from inception_loop.report.loops_report import LoopsReportConfig, make_loops_report


@flow(
    name="across-loops",
    task_runner=runner(),
    **watched(lambda p: f"across loops {', '.join(map(str, p.loop_groups)) or len(p.evidence)}"),
)
def across_loops(parameters: Asked[AcrossLoopsParameters]) -> StageResult:
    """Compare own images with controls in every loop, over all units and over animals; write the page."""
    p, store, stage = parameters, configured_store(), Stage("across_loops")
    found = [evidence_of_loop(store, loop_group) for loop_group in p.loop_groups]
    evidence = stage.submit(
        make_loops_evidence,
        LoopsEvidenceConfig(controls=p.controls, n_permutations=p.n_permutations, seed=p.seed),
        evidences=[*found, *p.evidence],
    )
    stage.submit(make_loops_report, LoopsReportConfig(), loops_evidence=evidence)
    result = stage.result()
    tell_loops(store, result)
    return result

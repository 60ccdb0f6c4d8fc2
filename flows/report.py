"""Last step of a loop: what it recovered of the truth, and the report."""

from __future__ import annotations

from prefect import flow

from flows._asked import Asked
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.telling.findings import tell_report
from flows.telling.learning import submit_learning
from flows.telling.runs import watched
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.parameters import ReportParameters
from inception_loop.recovery.truth import RecoveredTruthConfig, make_recovered_truth
from inception_loop.report.artifact import ReportConfig, make_report
from inception_loop.report.behind import group_of, refs_behind
from inception_loop.report.collect import check_enough, source_of
from inception_loop.report.gallery.collect import what_of
from inception_loop.selection.model_group import ensemble_models

Refs = dict[str, tuple[ArtifactRef, ...]]


@flow(
    name="report",
    task_runner=runner(),
    **watched(lambda p: f"report {p.evidence or f'loop {p.loop_group}'}"),
)
def report(parameters: Asked[ReportParameters]) -> StageResult:
    """Compare the loop with its animal's truth, if that is known, and write the one-file HTML report."""
    p, store, stage = parameters, configured_store(), Stage("report")
    given, group_id, loop_group = p.refs, p.group_id, p.loop_group
    if p.evidence is not None:
        given = _without_scores_of_reports(store, refs_behind(store, p.evidence))
        group_id, loop_group = group_of(store, p.evidence)
    check_enough(given, ("model",))
    meis = tuple(ref for ref in given.get("mei", ()) if what_of(store, "mei", ref) == "mei")
    refs = {**given, "mei": meis}  # without those that inhibit, which answer another question
    source = source_of(store, refs)
    truths = []
    if source.truth is not None:
        cnn, linear = (ensemble_models(store, refs["model_group"][0], family) for family in ("cnn", "linear"))
        truth = stage.submit(
            make_recovered_truth,
            RecoveredTruthConfig(group_id=group_id, name=source.name),
            dataset=refs["static_multi_dataset"][0],
            animal_truth=source.truth,
            oracle=refs["oracle"][0],
            cnn=cnn,
            linear=linear,
            meis=meis,
            rfs=refs.get("grad_rf", ()),
            truth_panel=refs.get("truth_panel", (None,))[0],
        )
        truths = [truth]
    learning = submit_learning(stage, group_id, refs)
    everything = {**refs, "recovered_truth": truths, "learning_report": [learning]}
    stage.submit(make_report, ReportConfig(loop_group=loop_group), refs=everything)
    result = stage.result()
    tell_report(store, result)
    return result


def _without_scores_of_reports(store: ArtifactStore, refs: Refs) -> Refs:
    """Leave out the scores that learning reports make for themselves: each report would change the next."""
    scores = refs.get("unit_test_scores", ())
    kept = tuple(ref for ref in scores if store.manifest(ref).config.get("eye", "recorded") == "recorded")
    return {**refs, "unit_test_scores": kept}

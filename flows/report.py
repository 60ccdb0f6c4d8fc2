"""Last step of a loop: what it recovered of the truth, and the report."""

from __future__ import annotations

from prefect import flow

from flows._asked import Asked
from flows._findings import tell_report
from flows._learning import submit_learning
from flows._runner import runner
from flows._runs import watched
from flows._stage import Stage, StageResult, configured_store
from inception_loop.parameters import ReportParameters
from inception_loop.recovery.truth import RecoveredTruthConfig, make_recovered_truth
from inception_loop.report.artifact import ReportConfig, make_report
from inception_loop.report.gallery.collect import what_of
from inception_loop.selection.model_group import ensemble_models


@flow(name="report", task_runner=runner(), **watched(lambda p: f"report loop {p.loop_group}"))
def report(parameters: Asked[ReportParameters]) -> StageResult:
    """Compare the loop with its animal's truth, if that is known, and write the one-file HTML report."""
    store, stage = configured_store(), Stage("report")
    meis = tuple(ref for ref in parameters.refs["mei"] if what_of(store, "mei", ref) == "mei")
    refs = {**parameters.refs, "mei": meis}  # without those that inhibit, which answer another question
    dataset, model_group = refs["static_multi_dataset"][0], refs["model_group"][0]
    truths = []
    if refs.get("animal_truth"):
        name = store.table(dataset, "members")["name"][0]
        cnn, linear = (ensemble_models(store, model_group, family) for family in ("cnn", "linear"))
        truth = stage.submit(
            make_recovered_truth,
            RecoveredTruthConfig(group_id=parameters.group_id, name=name),
            dataset=dataset,
            animal_truth=refs["animal_truth"][0],
            oracle=refs["oracle"][0],
            cnn=cnn,
            linear=linear,
            meis=meis,
            rfs=refs.get("grad_rf", ()),
            truth_panel=refs.get("truth_panel", (None,))[0],
        )
        truths = [truth]
    learning = submit_learning(stage, parameters.group_id, refs)
    everything = {**refs, "recovered_truth": truths, "learning_report": [learning]}
    stage.submit(make_report, ReportConfig(loop_group=parameters.loop_group), refs=everything)
    result = stage.result()
    tell_report(store, result)
    return result

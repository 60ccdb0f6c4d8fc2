"""What a person hears of the networks of a run as soon as they are trained: the learning report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.futures import PrefectFuture

from flows._stage import Stage, StageResult, configured_store
from flows.observing import say
from flows.telling import publish
from flows.telling.links import opened
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.report.learning.artifact import load_learning
from inception_loop.report.learning.collect import shown_models
from inception_loop.report.learning.report import LearningReportConfig, make_learning_report
from inception_loop.report.learning.words import headline, learning_lines, markdown
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores


def command(ref: ArtifactRef) -> str:
    """Return what a person types to see a learning report with its figures."""
    return f"inception-loop report --learning {ref.digest[:12]}"


def report_learning(stage: Stage, group_id: int, scored: Sequence[tuple[ArtifactRef, Any]]) -> None:
    """Submit the learning report of a stage's trained models and their scores, if there are any."""
    if scored:
        submit_learning(stage, group_id, stage.made().refs)  # waits: receptive fields belong to it


def submit_learning(
    stage: Stage, group_id: int, refs: Mapping[str, Sequence[ArtifactRef]]
) -> PrefectFuture[Any]:
    """Submit the learning report of models and what is known of them.

    Whose scores it shows are scored at the mean eye and running too: the ceiling knows neither.

    Parameters
    ----------
    stage
        Submits it.
    group_id
        The group of scans.
    refs
        By kind: ``model``, ``unit_test_scores``; where they exist ``oracle``, ``model_group``, ``linear_rf``,
        ``bad_config``.
    """
    store, models = configured_store(), list(refs["model"])
    oracle, model_group = (refs[kind][0] if refs.get(kind) else None for kind in ("oracle", "model_group"))
    dataset = store.inputs(models[0])["dataset"][0]
    frozen = UnitTestScoresConfig(group_id=group_id, eye="training_mean", behavior="training_mean")
    fair = [
        stage.submit(make_unit_test_scores, frozen, model=shown, dataset=dataset, label=f"frozen {place}")
        for place, shown in enumerate(shown_models(store, models, model_group))
    ]
    return stage.submit(
        make_learning_report,
        LearningReportConfig(group_id=group_id),
        models=models,
        scores=[*refs.get("unit_test_scores", ()), *fair],
        oracle=oracle,
        model_group=model_group,
        linear_rf=list(refs.get("linear_rf", ())),
        bad_config=list(refs.get("bad_config", ())),
    )


def tell_learning(store: ArtifactStore, result: StageResult) -> None:
    """Publish a stage's learning report as Prefect artifacts and tell its headline to whoever watches."""
    for ref in result.refs.get("learning_report", []):
        _tell(store, ref, result.stage)


def _tell(store: ArtifactStore, ref: ArtifactRef, stage: str) -> None:
    learning = load_learning(store, ref)
    name = f"learning-report-group-{store.manifest(ref).config['group_id']}"
    see = f"The figures: `{command(ref)} --store {store.uri}` writes one HTML page."
    see += opened(store, ref, "report")
    publish.markdown(name, markdown(learning, see), headline(learning))
    columns = ["label", "core", "readout", "epochs", "best_epoch", "val_corr", "test_corr", "chosen", "best"]
    publish.table(f"{name}-networks", learning.models.select(columns).to_dicts(), headline(learning))
    say(stage, headline(learning))
    say(stage, f"  see it: {command(ref)}")


def learning_report_lines(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    """Say for a terminal how the networks learnt and how to see the figures."""
    return [*learning_lines(load_learning(store, ref)), f"see it: {command(ref)}"]

"""What a person hears of the networks of a run as soon as they are trained: the learning report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flows import _publish
from flows._stage import Stage, StageResult, say
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.report.learning import load_learning
from inception_loop.report.learning_report import LearningReportConfig, make_learning_report
from inception_loop.report.learning_words import headline, learning_lines, markdown


def command(ref: ArtifactRef) -> str:
    """Return what a person types to see a learning report with its figures."""
    return f"inception-loop report --learning {ref.digest[:12]}"


def report_learning(stage: Stage, group_id: int, scored: Sequence[tuple[ArtifactRef, Any]]) -> None:
    """Submit the learning report of trained models and their scores, if there are any."""
    if scored:
        models, scores = zip(*scored, strict=True)
        of = LearningReportConfig(group_id=group_id)
        stage.submit(make_learning_report, of, models=list(models), scores=list(scores))


def tell_learning(store: ArtifactStore, result: StageResult) -> None:
    """Publish a stage's learning report as Prefect artifacts and tell its headline to whoever watches."""
    for ref in result.refs.get("learning_report", []):
        _tell(store, ref, result.stage)


def _tell(store: ArtifactStore, ref: ArtifactRef, stage: str) -> None:
    learning = load_learning(store, ref)
    name = f"learning-report-group-{store.manifest(ref).config['group_id']}"
    see = f"The figures: `{command(ref)} --store {store.uri}` writes one HTML page."
    _publish.markdown(name, markdown(learning, see), headline(learning))
    columns = ["label", "core", "readout", "epochs", "best_epoch", "val_corr", "test_corr", "chosen", "best"]
    _publish.table(f"{name}-networks", learning.models.select(columns).to_dicts(), headline(learning))
    say(stage, headline(learning))
    say(stage, f"  see it: {command(ref)}")


def learning_report_lines(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    """Say for a terminal how the networks learnt and how to see the figures."""
    return [*learning_lines(load_learning(store, ref)), f"see it: {command(ref)}"]

"""The learning report as an artifact: how the networks of a group learnt, right after their training."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.report.learning.artifact import LEARNING_REPORT
from inception_loop.report.learning.collect import collect_learning
from inception_loop.report.learning.page import render_learning_page
from inception_loop.report.learning.words import facts, headline


class LearningReportConfig(Config):
    """Of which group."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")


def make_learning_report(
    store: ArtifactStore,
    config: LearningReportConfig,
    *,
    models: Sequence[ArtifactRef],
    scores: Sequence[ArtifactRef],
    oracle: ArtifactRef | None = None,
    model_group: ArtifactRef | None = None,
    linear_rf: Sequence[ArtifactRef] = (),
    bad_config: Sequence[ArtifactRef] = (),
) -> Outcome:
    """Tell how networks learnt: tables for programs and a page for a person.

    Parameters
    ----------
    store, config
        Where, and of which group.
    models
        All ``model`` of a grid; their order does not matter.
    scores
        Their ``unit_test_scores``, and those of ensembles of them, if there are any.
    oracle, model_group, linear_rf, bad_config
        Where they exist; see `collect_learning`.

    Raises
    ------
    DataError
        If there is no model.
    """
    roles = {
        "models": models,
        "scores": scores,
        "oracle": [oracle],
        "model_group": [model_group],
        "linear_rf": linear_rf,
        "bad_config": bad_config,
    }
    inputs = {
        role: sorted({ref for ref in refs if ref is not None}, key=lambda ref: ref.digest)
        for role, refs in roles.items()
    }

    def build(attempt: Attempt) -> None:
        learning = collect_learning(
            store,
            inputs["models"],
            inputs["scores"],
            oracle=oracle,
            model_group=model_group,
            linear_rf=inputs["linear_rf"],
            bad_config=inputs["bad_config"],
        )
        for name, frame in learning.tables().items():
            attempt.write_table(name, frame)
        attempt.write_arrays("filter_weights", dict(learning.filter_weights))
        page = render_learning_page(learning, config.group_id, attempt.ref.digest)
        attempt.write_file("report", page.encode())
        numbers = {fact.key: fact.value for fact in facts(learning)}
        attempt.report(headline=headline(learning), **numbers)

    return store.make(LEARNING_REPORT, config, build, inputs={k: v for k, v in inputs.items() if v})

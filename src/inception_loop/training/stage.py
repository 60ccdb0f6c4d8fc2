"""The stage *train*: every model of a grid, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Run
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import DataError
from inception_loop.training.config import ModelConfig
from inception_loop.training.model import make_model
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores


def run_training(run: Run, models: Sequence[ModelConfig], *, dataset: Any) -> list[tuple[Any, Any]]:
    """Train and score every model: (model, unit_test_scores) in the order of ``models``.

    The models are started family by turns, so that the slower family does not end up alone.
    """
    trained = {}
    for config in sorted(models, key=lambda one: one.seed):
        label = f"{config.network.core.type} seed {config.seed}"
        trained[config] = run(make_model, config, dataset=dataset, label=label)
    scored = []
    for config in models:
        scores = run(
            make_unit_test_scores,
            UnitTestScoresConfig(group_id=config.group_id),
            model=trained[config],
            dataset=dataset,
            label=f"{config.network.core.type} seed {config.seed}",
        )
        scored.append((trained[config], scores))
    return scored


def scores_of(
    store: ArtifactStore, scores: Sequence[ArtifactRef], models: Sequence[ArtifactRef]
) -> list[ArtifactRef]:
    """Return the ``unit_test_scores`` of each model, in the order of the models.

    Raises
    ------
    DataError
        If a model has no scores among those given.
    """
    by_model = {store.inputs(ref)["model"][0].digest: ref for ref in scores}
    missing = [model for model in models if model.digest not in by_model]
    if missing:
        raise DataError(
            f"no scores of {missing[0]} were given; expected one of every chosen model; run train"
        )
    return [by_model[model.digest] for model in models]

"""The stage *train*: every model of a grid, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inception_loop.artifacts.steps import Run
from inception_loop.training.config import ModelConfig
from inception_loop.training.model import make_model
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores


def run_training(run: Run, models: Sequence[ModelConfig], *, dataset: Any) -> list[tuple[Any, Any]]:
    """Train and score every model: (model, unit_test_scores) in the order of ``models``.

    The models are started seed by seed, so that the slower family does not end up alone.
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

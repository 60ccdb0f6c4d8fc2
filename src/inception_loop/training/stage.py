"""The stage *train*: every model of a grid, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inception_loop.artifacts.address import digest_of
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Run
from inception_loop.training.bad_config import BAD_CONFIG
from inception_loop.training.config import ModelConfig
from inception_loop.training.jobs import ModelStack, make_model_job, make_model_stack
from inception_loop.training.labels import labels_of
from inception_loop.training.linear_rf import LinearRfConfig, make_linear_rf
from inception_loop.training.model import MODEL, model_inputs
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores


def run_training(
    run: Run,
    models: Sequence[ModelConfig],
    *,
    dataset: Any,
    core: ArtifactRef | None = None,
    stacks: Sequence[Sequence[ModelConfig]] = (),
) -> list[tuple[ArtifactRef, Any]]:
    """Train and score every model: (model, unit_test_scores) in the order of ``models``.

    The models are started seed by seed, so that the slower family does not end up alone. What another worker
    has reserved is passed over, and waited for once nothing else is left. Configurations that cannot work are
    recorded as ``bad_config`` and left out. Linear receptive fields, which need no network, are fitted once
    for every choice of data. Of ``stacks`` (see `plan_for`) those of several models are trained first, one
    after the other, since each fills the device. With ``core``, a ``model``, all take its core over and fit
    only the rest to the dataset.
    """
    labels = labels_of(models)
    inputs = model_inputs(dataset, core)

    def ask(config: ModelConfig, *, wait: bool) -> Any:
        return run(make_model_job, config, **inputs, wait=wait, label=labels[config])

    jobs: dict[ModelConfig, Any] = {}
    for stack in stacks:
        if len(stack) > 1:
            jobs.update(_together(run, stack, inputs))
    alone = [config for config in sorted(labels, key=lambda one: one.seed) if config not in jobs]
    jobs.update({config: ask(config, wait=False) for config in alone})
    left = [config for config, job in jobs.items() if not _made(job)]
    jobs.update({config: ask(config, wait=True) for config in left})
    made = {config: ref for config in labels for ref in _made(jobs[config]) if ref.kind != BAD_CONFIG.name}
    scored = []
    for config, model in made.items():
        of = UnitTestScoresConfig(group_id=config.group_id)
        scores = run(make_unit_test_scores, of, model=model, dataset=dataset, label=labels[config])
        scored.append((model, scores))
    for group, data in dict.fromkeys((config.group_id, config.data) for config in made):
        run(make_linear_rf, LinearRfConfig(group_id=group, data=data), dataset=dataset)
    return scored


def _together(
    run: Run, stack: Sequence[ModelConfig], inputs: dict[str, ArtifactRef]
) -> dict[ModelConfig, list[ArtifactRef]]:
    """Train a stack; return what was made by model, those that others have reserved left out."""
    label = f"{len(stack)} models of {stack[0].network.core.type}"
    job = run(make_model_stack, ModelStack(models=tuple(stack)), **inputs, wait=False, label=label)
    found = {(ref.kind, ref.digest): ref for ref in _made(job)}
    asked = {
        (kind.name, digest_of(kind, config, inputs)): config
        for config in stack
        for kind in (MODEL, BAD_CONFIG)
    }
    return {config: [found[key]] for key, config in asked.items() if key in found}


def _made(job: Any) -> list[ArtifactRef]:
    """Return what a job made: it is the references, or a future of them."""
    refs: list[ArtifactRef] = job.result() if hasattr(job, "result") else job
    return refs

"""Stage *train*: networks that predict the responses are trained and scored."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow

from flows._asked import Asked
from flows._emulated import warn_if_emulated
from flows._stage import Stage, StageResult, configured_store
from flows._step import DEVICE
from flows.cluster.runner import runner
from flows.observing import say
from flows.telling import publish
from flows.telling.learning import report_learning, tell_learning
from flows.telling.overseer import overseen
from flows.telling.runs import watched
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.parameters import TrainParameters
from inception_loop.report.words import count
from inception_loop.training.bad_config import load_bad_config, nothing_trained
from inception_loop.training.labels import counted
from inception_loop.training.stage import run_training
from inception_loop.training.together import plan_for


@flow(
    name="train",
    task_runner=runner(),
    **watched(lambda p: f"train group {p.group_id} · {count(len(p.models()), 'model')}"),
)
def train(parameters: Asked[TrainParameters]) -> StageResult:
    """Train every model of the grid that is not in the store yet, and score each on the test tier.

    Several runs may share the work: what another has reserved is passed over and asked for again at the end.
    With a trained core given, all networks take it over and only the rest is fitted.
    """
    stage = Stage("train", needs=DEVICE)
    models = parameters.models()
    say("train", counted(models))
    warn_if_emulated("train", {model.train.precision for model in models})
    planned = plan_for(configured_store(), models, parameters.dataset)
    if len(models) > 1:
        say("train", planned.reason)
    with overseen("train", len(models)):
        trained = run_training(
            stage.submit, models, dataset=parameters.dataset, core=parameters.core, stacks=planned.stacks
        )
    report_learning(stage, parameters.group_id, trained)
    result = stage.result()
    tell_learning(configured_store(), result)
    _tell_of_bad(result.refs.get("bad_config", []), trained=len(result.refs.get("model", [])))
    return result


def _tell_of_bad(refs: Sequence[ArtifactRef], *, trained: int) -> None:
    """Say which configurations cannot work, and why; nothing trained is an error."""
    if not refs:
        return
    store = configured_store()
    bad = [load_bad_config(store, ref) for ref in refs]
    rows = [
        {**found._asdict(), "record": f"{ref.kind}/{ref.digest[:12]}"}
        for ref, found in zip(refs, bad, strict=True)
    ]
    publish.table("train-bad-configs", rows, f"{len(bad)} configurations cannot work, {trained} can")
    for ref, found in zip(refs, bad, strict=True):
        say("train", f"{found.what} cannot be trained: {found.reason} ({ref})")
    if not trained:
        raise nothing_trained(bad)

"""Stage *train*: networks that predict the responses are trained and scored."""

from __future__ import annotations

from prefect import flow

from flows._stage import Stage, StageResult, runner
from inception_loop.parameters import TrainParameters
from inception_loop.training.stage import run_training


@flow(name="train", task_runner=runner())
def train(parameters: TrainParameters) -> StageResult:
    """Train every model of the grid that is not in the store yet, and score each on the test tier."""
    stage = Stage("train")
    run_training(stage.submit, parameters.grid.models(parameters.group_id), dataset=parameters.dataset)
    return stage.result()

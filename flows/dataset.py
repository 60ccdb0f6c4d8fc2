"""Stage *dataset*: the tables of several scans become a StaticMultiDataset."""

from __future__ import annotations

from prefect import flow

from flows._stage import Stage, StageResult, configured_store, runner
from inception_loop.dataset.stage import by_scan, run_dataset
from inception_loop.parameters import DatasetParameters


@flow(name="dataset", task_runner=runner())
def dataset(parameters: DatasetParameters) -> StageResult:
    """Make every table of the group, and the StaticMultiDataset that networks are trained on."""
    stage = Stage("dataset")
    run_dataset(stage.submit, parameters.config, by_scan(configured_store(), parameters.recordings))
    return stage.result()

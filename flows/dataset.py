"""Stage *dataset*: the tables of several scans become a StaticMultiDataset."""

from __future__ import annotations

from prefect import flow

from flows._asked import Asked
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.telling.findings import tell_tiers
from flows.telling.quality import tell_quality
from flows.telling.runs import scans, watched
from inception_loop.dataset.stage import by_scan, run_dataset
from inception_loop.parameters import DatasetParameters
from inception_loop.report.dataset_report import DatasetReportConfig, make_dataset_report


@flow(
    name="dataset",
    task_runner=runner(),
    **watched(lambda p: f"dataset group {p.config.group_id} · {scans(p.recordings)}"),
)
def dataset(parameters: Asked[DatasetParameters]) -> StageResult:
    """Make every table of the group, the StaticMultiDataset that networks are trained on, and its report."""
    store, stage = configured_store(), Stage("dataset")
    made = run_dataset(stage.submit, parameters.config, by_scan(store, parameters.recordings))
    judged = DatasetReportConfig(group_id=parameters.config.group_id, rules=parameters.quality)
    stage.submit(make_dataset_report, judged, dataset=made["static_multi_dataset"])
    result = stage.result()
    tell_tiers(store, result)
    tell_quality(store, result.one("dataset_report"), stage.name)
    return result

"""Stage *ingest*: recordings become the tables of their scans."""

from __future__ import annotations

from prefect import flow

from flows._asked import Asked
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.telling.findings import tell_scans
from flows.telling.runs import scans, watched
from inception_loop.dataset.stage import by_scan, run_ingest
from inception_loop.parameters import IngestParameters


@flow(name="ingest", task_runner=runner(), **watched(lambda p: f"ingest {scans(p.recordings)}"))
def ingest(parameters: Asked[IngestParameters]) -> StageResult:
    """Make StaticScan, ExcludedTrial, StackCoordinates and MonitorCalibration of every recording."""
    stage = Stage("ingest")
    for scan, recording in by_scan(configured_store(), parameters.recordings).items():
        run_ingest(stage.submit, scan, recording)
    result = stage.result()
    tell_scans(configured_store(), result, parameters.recordings)
    return result

"""Stage *import*: a recording from disk becomes an artifact and the tables of its scan."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows._stage import Stage, StageResult, runner
from inception_loop.dataset.stage import run_ingest
from inception_loop.parameters import ImportParameters
from inception_loop.recordings.imported import import_config, make_imported_recording


@flow(name="import", task_runner=runner())
def import_recording(parameters: ImportParameters) -> StageResult:
    """Read a recording of a known format, found by its content, and take it apart as stage *ingest* does."""
    stage, path = Stage("import"), Path(parameters.path)
    config = import_config(path, parameters.scan, parameters.options, parameters.format)
    recording = stage.submit(
        make_imported_recording, config, path=str(path.absolute()), label=str(parameters.scan)
    )
    run_ingest(stage.submit, parameters.scan, recording)
    return stage.result()

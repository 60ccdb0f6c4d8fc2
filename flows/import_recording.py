"""Stage *import*: a recording from disk becomes an artifact and the tables of its scan."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows._asked import Asked
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.telling.findings import tell_scans
from flows.telling.runs import watched
from inception_loop.dataset.stage import run_ingest
from inception_loop.parameters import ImportParameters
from inception_loop.recordings.imported import import_config, make_imported_recording
from inception_loop.stimuli.recognised import make_recognised_recording, recognised_config, shown_inputs


@flow(name="import", task_runner=runner(), **watched(lambda p: f"import {p.scan}"))
def import_recording(parameters: Asked[ImportParameters]) -> StageResult:
    """Read a recording of a known format, found by its content, and take it apart as stage *ingest* does.

    Where it is told what the rig showed, the images are recognised in that stimulus set.
    """
    stage = Stage("import")
    submit_import(stage, parameters)
    result = stage.result()
    tell_scans(configured_store(), result)
    return result


def submit_import(stage: Stage, p: ImportParameters) -> None:
    """Submit what the flow does to a stage."""
    path = Path(p.path)
    config = import_config(path, p.scan, p.options, p.format)
    label, place = str(p.scan), str(path.absolute())
    export = None if p.export is None else Path(p.export)
    shown = shown_inputs(configured_store(), p.stimulus_set, export)
    if shown:
        config = recognised_config(config, shown, p.unmatched)
        recording = stage.submit(make_recognised_recording, config, label=label, path=place, **shown)
    else:
        recording = stage.submit(make_imported_recording, config, label=label, path=place)
    run_ingest(stage.submit, p.scan, recording)

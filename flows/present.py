"""Stage *present*: a digital animal sees images and hands over a recording, as a rig would."""

from __future__ import annotations

from prefect import flow

from flows._asked import Asked
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.telling.findings import tell_scans
from flows.telling.runs import watched
from inception_loop.animals.recorded import make_recorded_day
from inception_loop.parameters import PresentParameters


@flow(name="present", task_runner=runner(), **watched(lambda p: f"present {p.day.scan} · day {p.day.day}"))
def present(parameters: Asked[PresentParameters]) -> StageResult:
    """Show a session to the animal; returns its recording and, separately, the truth about it."""
    stage = Stage("present")
    stage.submit(
        make_recorded_day,
        parameters.day,
        stimulus=parameters.stimulus,
        twin_path=parameters.twin_path,
        label=str(parameters.day.scan),
    )
    result = stage.result()
    tell_scans(configured_store(), result)
    return result

"""Stage *stimulus*: images become the stimulus set of a later day."""

from __future__ import annotations

from prefect import flow

from flows._stage import Stage, StageResult, runner
from inception_loop.parameters import StimulusParameters
from inception_loop.stimuli.stimulus_set import StimulusSetConfig, make_stimulus_set


@flow(name="stimulus", task_runner=runner())
def stimulus(parameters: StimulusParameters) -> StageResult:
    """Put every image, the source scan's oracle images and a blank into one seeded, blocked session."""
    p, stage = parameters, Stage("stimulus")
    stage.submit(
        make_stimulus_set,
        StimulusSetConfig(loop_group=p.loop_group, session=p.config),
        meis=p.meis,
        rfs=p.rfs,
        naturals=p.naturals,
        recording=p.recording,
    )
    return stage.result()

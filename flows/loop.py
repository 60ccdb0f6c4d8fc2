"""The whole loop on a digital animal: what the README's main command runs."""

from __future__ import annotations

from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows._asked import Asked
from flows._head import Done, Head, learn, make_images
from flows._stage import StageResult, configured_store, merge
from flows.closed_loop import closed_loop
from flows.cluster.runner import runner
from flows.ingest import ingest
from flows.present import present
from flows.report import report
from flows.telling.findings import tell_loop
from flows.telling.runs import watched
from inception_loop.animals.recorded import AnimalDayConfig
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.parameters import (
    ClosedLoopParameters,
    IngestParameters,
    LaterScan,
    LoopParameters,
    PresentParameters,
    ReportParameters,
    data_of,
)
from inception_loop.recordings.recording import ScanKey

STAGES = {
    **{name: (name,) for name in ("ingest", "dataset", "train", "select", "mei", "stimulus", "present")},
    "closed_loop": ("closed_loop", "report"),
}
"""Line of the summary → stages that it adds up."""


class LoopResult(BaseModel):
    """What a loop hands on: its stages in order, and its report."""

    model_config = ConfigDict(frozen=True)

    stages: dict[str, StageResult]
    report: ArtifactRef


@flow(
    name="inception-loop",
    task_runner=runner(),
    **watched(
        lambda p: f"loop {p.loop_group} · {p.animal.type} animal {p.animal.animal_id} · seed {p.animal.seed}"
    ),
)
def inception_loop(parameters: Asked[LoopParameters]) -> LoopResult:
    """Record, train, select, synthesise, show back, compare and report."""
    done, head = Done(), _head(parameters)
    first = PresentParameters(
        day=_day(parameters, 0, session=parameters.session), twin_path=parameters.twin_path
    )
    source = done(present, first).one("recording")
    learn(head, (source,), done)
    make_images(head, source, done)
    later = _show_back(parameters, done)
    _compare(parameters, done, later)
    group = parameters.dataset.group_id
    asked = ReportParameters(group_id=group, loop_group=parameters.loop_group, refs=done.everything())
    reported = done(report, asked)
    stages = {
        line: merge(line, [result for result in done.results if result.stage in names])
        for line, names in STAGES.items()
    }
    tell_loop(configured_store(), stages, reported)
    return LoopResult(stages=stages, report=done.first("report"))


def _day(p: LoopParameters, number: int, **shown: Any) -> AnimalDayConfig:
    scan = ScanKey(animal_id=p.animal.animal_id, session=number + 1, scan_idx=1)
    return AnimalDayConfig(
        scan=scan, animal=p.animal, day=number, shown_s=p.stimulus.session.shown_s, **shown
    )


def _head(p: LoopParameters) -> Head:
    data_of(p.models())  # refused now, not after the training
    return Head(
        dataset=p.dataset,
        quality=p.quality,
        grid=p.grid,
        selection=p.selection,
        images=p.images,
        stimulus=p.stimulus,
        loop_group=p.loop_group,
        truths=p.animal.type == "simulated",
    )


def _show_back(p: LoopParameters, done: Done) -> tuple[LaterScan, ...]:
    """Record the later days, on which the animal sees the images."""
    shown, later = done.first("stimulus_set"), []
    for number in range(1, p.days + 1):
        asked = PresentParameters(day=_day(p, number), stimulus=shown, twin_path=p.twin_path)
        found = done(present, asked)
        later.append(
            LaterScan(
                recording=found.one("recording"),
                stimulus_set=shown,
                truth=found.one("animal_truth"),
                day=number,
            )
        )
    done(ingest, IngestParameters(recordings=tuple(scan.recording for scan in later)))
    return tuple(later)


def _compare(p: LoopParameters, done: Done, later: tuple[LaterScan, ...]) -> None:
    """Match cells across days and compare own with others' images."""
    asked = ClosedLoopParameters(
        loop_group=p.loop_group,
        source=done.first("recording"),
        source_truth=done.first("animal_truth"),
        later=later,
        selection=done.first("corrected_high_unit_selection"),
        panel=next(iter(done.refs("truth_panel")), None),
        dataset=p.dataset,
        matching=p.matching,
        least_match_probability=p.least_match_probability,
        n_permutations=p.n_permutations,
    )
    done(closed_loop, asked)

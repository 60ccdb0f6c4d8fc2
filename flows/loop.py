"""The whole loop on a digital animal: what the README's main command runs."""

from __future__ import annotations

from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows._stage import StageResult, merge
from flows.closed_loop import closed_loop
from flows.dataset import dataset
from flows.ingest import ingest
from flows.mei import mei
from flows.present import present
from flows.report import report
from flows.select import select
from flows.stimulus import stimulus
from flows.train import train
from inception_loop.animals.recorded import AnimalDayConfig
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.parameters import (
    ClosedLoopParameters,
    DatasetParameters,
    IngestParameters,
    LaterScan,
    LoopParameters,
    MeiParameters,
    PresentParameters,
    ReportParameters,
    SelectParameters,
    StimulusParameters,
    TrainParameters,
    data_of,
)
from inception_loop.recordings.recording import ScanKey

STAGES = {
    **{name: (name,) for name in ("ingest", "dataset", "train", "select", "mei", "stimulus", "present")},
    "closed_loop": ("closed_loop", "report"),
}
"""Line of the summary → stages that it adds up."""


SHOWN = (
    "mei",
    "grad_rf",
    "best_gabor",
    "masked_mei",
    "best_tight_masked_imagenet",
    "best_natural_image",
)
"""Kinds of images that a stimulus set may show."""


class LoopResult(BaseModel):
    """What a loop hands on: its stages in order, and its report."""

    model_config = ConfigDict(frozen=True)

    stages: dict[str, StageResult]
    report: ArtifactRef


class _Done:
    """What the stages have made so far."""

    def __init__(self) -> None:
        self.results: list[StageResult] = []

    def __call__(self, result: StageResult) -> StageResult:
        self.results.append(result)
        return result

    def refs(self, kind: str) -> tuple[ArtifactRef, ...]:
        """Return every reference of a kind, each once, in the order of making."""
        return tuple(dict.fromkeys(ref for result in self.results for ref in result.refs.get(kind, ())))

    def first(self, kind: str) -> ArtifactRef:
        """Return the first of a kind: that of the source scan."""
        return self.refs(kind)[0]

    def everything(self) -> dict[str, tuple[ArtifactRef, ...]]:
        """Return all references by kind."""
        return {kind: self.refs(kind) for result in self.results for kind in result.refs}


@flow(name="inception-loop")
def inception_loop(parameters: LoopParameters) -> LoopResult:
    """Record, train, select, synthesise, show back, compare and report."""
    done = _Done()
    _learn(parameters, done)
    _make_images(parameters, done)
    later = _show_back(parameters, done)
    _compare(parameters, done, later)
    group = parameters.dataset.group_id
    asked = ReportParameters(group_id=group, loop_group=parameters.loop_group, refs=done.everything())
    done(report(asked))
    stages = {
        line: merge(line, [result for result in done.results if result.stage in names])
        for line, names in STAGES.items()
    }
    return LoopResult(stages=stages, report=done.first("report"))


def _day(p: LoopParameters, number: int, **shown: Any) -> AnimalDayConfig:
    scan = ScanKey(animal_id=p.animal.animal_id, session=number + 1, scan_idx=1)
    return AnimalDayConfig(
        scan=scan, animal=p.animal, day=number, shown_s=p.stimulus.session.shown_s, **shown
    )


def _learn(p: LoopParameters, done: _Done) -> None:
    """Record the first day and train the networks that predict it."""
    group = p.dataset.group_id
    done(present(PresentParameters(day=_day(p, 0, session=p.session), twin_path=p.twin_path)))
    recordings = done.refs("recording")
    done(ingest(IngestParameters(recordings=recordings)))
    done(dataset(DatasetParameters(recordings=recordings, config=p.dataset, quality=p.quality)))
    done(train(TrainParameters(group_id=group, dataset=done.first("static_multi_dataset"), grid=p.grid)))


def _make_images(p: LoopParameters, done: _Done) -> None:
    """Select the units, make their images and the session that shows them."""
    group, data = p.dataset.group_id, done.first("static_multi_dataset")
    asked = SelectParameters(
        group_id=group,
        dataset=data,
        models=done.refs("model"),
        truths=done.refs("animal_truth") if p.animal.type == "simulated" else (),
        data=data_of(p.grid.models(group)),
        selection=p.selection,
    )
    done(select(asked))
    wanted = MeiParameters(
        group_id=group,
        dataset=data,
        target_model=done.first("target_model"),
        selection=done.first("corrected_high_unit_selection"),
        panel=next(iter(done.refs("truth_panel")), None),
        images=p.images,
    )
    done(mei(wanted))
    session = StimulusParameters(
        group_id=group,
        loop_group=p.loop_group,
        recording=done.first("recording"),
        images=tuple(ref for kind in SHOWN for ref in done.refs(kind)),
        target_model=done.first("target_model"),
        selection=done.first("corrected_high_unit_selection"),
        panel=next(iter(done.refs("truth_panel")), None),
        calibrations=done.refs("monitor_calibration"),
        rules=p.stimulus.leaving_out(p.images.leave_out),
    )
    done(stimulus(session))


def _show_back(p: LoopParameters, done: _Done) -> tuple[LaterScan, ...]:
    """Record the later days, on which the animal sees the images."""
    shown, later = done.first("stimulus_set"), []
    for number in range(1, p.days + 1):
        asked = PresentParameters(day=_day(p, number), stimulus=shown, twin_path=p.twin_path)
        found = done(present(asked))
        later.append(
            LaterScan(
                recording=found.one("recording"),
                stimulus_set=shown,
                truth=found.one("animal_truth"),
                day=number,
            )
        )
    done(ingest(IngestParameters(recordings=tuple(scan.recording for scan in later))))
    return tuple(later)


def _compare(p: LoopParameters, done: _Done, later: tuple[LaterScan, ...]) -> None:
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
    done(closed_loop(asked))

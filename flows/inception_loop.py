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
)
from inception_loop.recordings.recording import ScanKey


class LoopResult(BaseModel):
    """What a loop hands on: its stages in order, and its report."""

    model_config = ConfigDict(frozen=True)

    stages: dict[str, StageResult]
    report: ArtifactRef


@flow(name="inception-loop")
def inception_loop(parameters: LoopParameters) -> LoopResult:
    """Record, train, select, synthesise, show back, compare and report."""
    p, group = parameters, parameters.dataset.group_id

    def day(number: int, **shown: Any) -> AnimalDayConfig:
        scan = ScanKey(animal_id=p.animal.animal_id, session=number + 1, scan_idx=1)
        return AnimalDayConfig(scan=scan, animal=p.animal, day=number, shown_s=p.stimulus.shown_s, **shown)

    first = present(PresentParameters(day=day(0, session=p.session), twin_path=p.twin_path))
    recording, truth = first.one("recording"), first.one("animal_truth")
    ingested = ingest(IngestParameters(recordings=(recording,)))
    data = dataset(DatasetParameters(recordings=(recording,), config=p.dataset))
    group_ref = data.one("static_multi_dataset")
    trained = train(TrainParameters(group_id=group, dataset=group_ref, grid=p.grid))
    selected = select(
        SelectParameters(
            group_id=group,
            dataset=group_ref,
            models=tuple(trained.refs["model"]),
            scores=tuple(trained.refs["unit_test_scores"]),
            truths=(truth,) if p.animal.type == "simulated" else (),
            data=p.grid.data,
            selection=p.selection,
        )
    )
    selection = selected.one("corrected_high_unit_selection")
    panel = selected.refs.get("truth_panel", [None])[0]
    images = mei(
        MeiParameters(
            group_id=group,
            dataset=group_ref,
            model_group=selected.one("model_group"),
            selection=selection,
            panel=panel,
            images=p.images,
        )
    )
    stimuli = stimulus(
        StimulusParameters(
            loop_group=p.loop_group,
            recording=recording,
            meis=tuple(images.refs["mei"]),
            rfs=tuple(images.refs["grad_rf"]),
            naturals=tuple(images.refs["best_natural_image"]),
            config=p.stimulus,
        )
    )
    shown = stimuli.one("stimulus_set")
    days = range(1, p.days + 1)
    presented = [
        present(PresentParameters(day=day(number), stimulus=shown, twin_path=p.twin_path)) for number in days
    ]
    later = tuple(
        LaterScan(recording=r.one("recording"), stimulus_set=shown, truth=r.one("animal_truth"), day=number)
        for number, r in zip(days, presented, strict=True)
    )
    ingested_later = ingest(IngestParameters(recordings=tuple(scan.recording for scan in later)))
    evidence = closed_loop(
        ClosedLoopParameters(
            loop_group=p.loop_group,
            source=recording,
            source_truth=truth,
            later=later,
            selection=selection,
            panel=panel,
            dataset=p.dataset,
            n_permutations=p.n_permutations,
        )
    )
    parts = (first, *presented, ingested, data, trained, selected, images, stimuli, evidence)
    refs: dict[str, list[ArtifactRef]] = {}
    for part in parts:
        for kind, found in part.refs.items():
            refs[kind] = list(dict.fromkeys([*refs.get(kind, []), *found]))
    reported = report(
        ReportParameters(
            group_id=group, loop_group=p.loop_group, refs={kind: tuple(found) for kind, found in refs.items()}
        )
    )
    stages = {
        "present": merge("present", [first, *presented]),
        "ingest": merge("ingest", [ingested, ingested_later]),
        "dataset": data,
        "train": trained,
        "select": selected,
        "mei": images,
        "stimulus": stimuli,
        "closed_loop": merge("closed_loop", [evidence, reported]),
    }
    return LoopResult(stages=stages, report=reported.one("report"))

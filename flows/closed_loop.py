"""Stage *closed_loop*: later days are matched to the source scan and compared."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows._asked import Asked
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.telling.findings import tell_answer
from flows.telling.runs import scans, watched
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.closed_loop.scans import LoopScan, stim_type_of
from inception_loop.closed_loop.stage import ClosedLoopConfig, run_closed_loop
from inception_loop.closed_loop.traced import response_rules
from inception_loop.dataset.stage import by_scan, run_ingest, run_responses
from inception_loop.parameters import ClosedLoopParameters
from inception_loop.recordings.recording import ScanKey


@flow(
    name="closed-loop",
    task_runner=runner(),
    **watched(lambda p: f"closed loop {p.loop_group} · {scans(one.recording for one in p.later)}"),
)
def closed_loop(parameters: Asked[ClosedLoopParameters]) -> StageResult:
    """Match cells across days, compare own with other images, and test the difference."""
    p, store, stage = parameters, configured_store(), Stage("closed_loop")
    rules = response_rules(store, p.selection, p.source, p.dataset)

    def tables(scan: ScanKey, recording: ArtifactRef, truth: ArtifactRef | None) -> dict[str, Any]:
        made = run_ingest(stage.submit, scan, recording)
        made["input_response"] = run_responses(stage.submit, rules, scan, recording, made)
        return made if truth is None else {**made, "animal_truth": truth}

    (source,) = by_scan(store, [p.source])
    by_recording = {one.recording: one for one in p.later}
    later = {scan: by_recording[ref] for scan, ref in by_scan(store, list(by_recording)).items()}
    scans = [LoopScan(scan=source, day=0, mei_source=True, stim_type="imagenet")]
    sets = {scan: store.table(one.stimulus_set, "conditions") for scan, one in later.items()}
    scans += [
        LoopScan(scan=scan, day=later[scan].day, stim_type=stim_type_of(shown["model_type"].unique()))
        for scan, shown in sets.items()
    ]
    members = {name for shown in sets.values() for name in shown["source_name"].drop_nulls().unique()}
    named = [name for name in members if len(members) > 1 and name.endswith(f"-{source}")]
    run_closed_loop(
        stage.submit,
        ClosedLoopConfig(
            loop_group=p.loop_group,
            scans=tuple(scans),
            source_name=named[0] if named else None,
            match_units="all",
            matching=p.matching,
            least_match_probability=p.least_match_probability,
            n_permutations=p.n_permutations,
            seed=p.seed,
        ),
        source=tables(source, p.source, p.source_truth),
        later={
            scan: {**tables(scan, one.recording, one.truth), "stimulus_set": one.stimulus_set}
            for scan, one in later.items()
        },
        corrected_high_unit_selection=p.selection,
        truth_panel=p.panel,
    )
    result = stage.result()
    tell_answer(store, result)
    return result

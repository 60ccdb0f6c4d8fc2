"""What to type after a stage: the command of the next one, with the artifacts that it needs."""

from __future__ import annotations

from shlex import quote
from typing import Any

from flows._stage import StageResult
from inception_loop.artifacts.lineage import ancestors
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.night_parameters import ConcludeParameters
from inception_loop.parameters import (
    ClosedLoopParameters,
    MeiParameters,
    ReportParameters,
    SelectParameters,
    StimulusParameters,
)


def next_lines(store: ArtifactStore, parameters: object, result: object, at: str | None) -> list[str]:
    """Say what to run next, ready to be typed; empty where that is not known.

    Parameters
    ----------
    store
        Where the artifacts are.
    parameters, result
        Of the stage that has run.
    at
        The ``--store`` that it was given, if any.
    """
    commands = _commands(store, parameters, result) if isinstance(result, StageResult) else []
    tail = f" --store {quote(at)}" if at else ""
    return [f"next: {command}{tail}" for command in commands[:1]] + [
        f"then: {command}{tail}" for command in commands[1:]
    ]


def _commands(store: ArtifactStore, parameters: object, result: StageResult) -> list[str]:
    made = {kind: refs[0] for kind, refs in result.refs.items()}
    if isinstance(parameters, SelectParameters):
        return [
            _run(
                "mei",
                group_id=parameters.group_id,
                dataset=parameters.dataset,
                target_model=made["target_model"],
                selection=made["corrected_high_unit_selection"],
                panel=made.get("truth_panel"),
            )
        ]
    if isinstance(parameters, MeiParameters):
        recording, calibrations = _source(store, parameters.dataset)
        shown = _run(
            "stimulus",
            group_id=parameters.group_id,
            recording=recording,
            gallery=made["gallery"],
            target_model=parameters.target_model,
            calibrations=calibrations,
        )
        return [f"{shown} --dry-run", shown]
    if isinstance(parameters, StimulusParameters):
        if parameters.name_target:
            return [f"inception-loop export --loop-group {parameters.loop_group} --output rig"]
        shown = _name(made["stimulus_set"])
        loop = f" --loop-group {parameters.loop_group}" if parameters.loop_group else ""
        return [f"inception-loop export {shown} --output rig", f"inception-loop target {shown}{loop}"]
    if isinstance(parameters, ClosedLoopParameters):
        return [_run("report", evidence=made["evidence"])]
    if isinstance(parameters, ReportParameters | ConcludeParameters):
        return [f"inception-loop report {made['report'].digest[:12]} --output report"]
    return []


def _source(store: ArtifactStore, dataset: ArtifactRef) -> tuple[ArtifactRef, list[ArtifactRef]]:
    """Return the first recording of a dataset and the measured calibrations of its scan."""
    links = ancestors(store, dataset)
    recording = min({k.parent for k in links if k.parent.kind == "recording"}, key=store.key)
    scan = store.key(recording).split("/", 1)[1].rpartition("/")[0]
    found = [listed.ref for listed in artifacts(store, "monitor_calibration", scan)]
    return recording, [ref for ref in found if store.manifest(ref).findings.get("measured")]


def _run(stage: str, **values: Any) -> str:
    """Return a command with parameters; those that are none, 0 or empty are left to their defaults."""
    given = [f"--set {key}={_text(value)}" for key, value in values.items() if value]
    return " ".join([f"inception-loop run {stage}", *given])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return quote("[" + ", ".join(f'"{_name(ref)}"' for ref in value) + "]")
    return _name(value) if isinstance(value, ArtifactRef) else str(value)


def _name(ref: ArtifactRef) -> str:
    return f"{ref.kind}/{ref.digest[:12]}"

"""``inception-loop run STAGE``: parameters from a TOML file, a Prefect run, the result printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from flows._local import run_locally
from flows._next import next_lines
from flows._stage import StageResult, configured_store
from flows.across_loops import across_loops
from flows.closed_loop import closed_loop
from flows.conclude import conclude
from flows.dataset import dataset
from flows.import_recording import import_recording
from flows.ingest import ingest
from flows.loop import inception_loop
from flows.mei import mei
from flows.night import night
from flows.present import present
from flows.report import report
from flows.select import select
from flows.stimulus import stimulus
from flows.telling.findings import answer_lines
from flows.telling.gallery import gallery_report_lines
from flows.telling.learning import learning_report_lines
from flows.telling.loops import loops_report_lines
from flows.telling.quality import quality_lines
from flows.train import train
from flows.watch import watch
from inception_loop import night_parameters as n
from inception_loop import parameters as p
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.listing import resolve
from inception_loop.examples import example_toml
from inception_loop.watch_parameters import WatchParameters

STAGES: Mapping[str, tuple[Callable[..., Any], type[Config]]] = {
    "present": (present, p.PresentParameters),
    "import": (import_recording, p.ImportParameters),
    "ingest": (ingest, p.IngestParameters),
    "dataset": (dataset, p.DatasetParameters),
    "train": (train, p.TrainParameters),
    "select": (select, p.SelectParameters),
    "mei": (mei, p.MeiParameters),
    "stimulus": (stimulus, p.StimulusParameters),
    "closed-loop": (closed_loop, p.ClosedLoopParameters),
    "across-loops": (across_loops, p.AcrossLoopsParameters),
    "report": (report, p.ReportParameters),
    "loop": (inception_loop, p.LoopParameters),
    "watch": (watch, WatchParameters),
    "night": (night, n.NightParameters),
    "conclude": (conclude, n.ConcludeParameters),
}

SHOWN = 3
"""So many artifacts of a kind are listed."""


def parameters_of(stage: str) -> type[Config]:
    """Return the parameter model of a stage."""
    return STAGES[stage][1]


def example(stage: str) -> str:
    """Return a complete example of a stage's parameters as TOML."""
    return example_toml(stage)


def run_stage(stage: str, values: Mapping[str, Any], *, as_json: bool, store: str | None = None) -> int:
    """Run a stage with plain values as parameters; returns the exit status.

    An artifact may be given by its name, ``kind/0123abcd``; it is looked up before anything starts. The last
    lines say what to run next, with the ``--store`` that was given.
    """
    flow, model = STAGES[stage]
    parameters = p.parse(model, values, meant=lambda name: resolve(configured_store(), name))
    result = run_locally(flow, parameters, quiet=as_json, title=stage)
    _print(result, as_json)
    if not as_json:
        next_ = next_lines(configured_store(), parameters, result, store)
        sys.stdout.writelines(f"{line}\n" for line in next_)
    return 0


def _print(result: BaseModel, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result.model_dump(mode="json"), indent=2) + "\n")
        return
    stages = [result] if isinstance(result, StageResult) else list(getattr(result, "stages", {}).values())
    for one in stages:
        sys.stdout.write(f"{one.stage}: {one.words()}\n")
        for kind, refs in one.refs.items():
            sys.stdout.writelines(f"  {ref.uri}\n" for ref in refs[:SHOWN])
            if refs[SHOWN:]:
                sys.stdout.write(f"  and {len(refs) - SHOWN} {kind} more (all: store ls {kind}, or --json)\n")
        for ref in one.refs.get("dataset_report", ()):
            sys.stdout.writelines(f"{line}\n" for line in quality_lines(configured_store(), ref))
        for ref in one.refs.get("gallery", ()):
            sys.stdout.writelines(f"{line}\n" for line in gallery_report_lines(configured_store(), ref))
        for ref in one.refs.get("learning_report", ()):
            sys.stdout.writelines(f"{line}\n" for line in learning_report_lines(configured_store(), ref))
        if one.refs.get("evidence"):
            sys.stdout.writelines(f"{line}\n" for line in answer_lines(configured_store(), one))
        for ref in one.refs.get("loops_report", ()):
            sys.stdout.writelines(f"{line}\n" for line in loops_report_lines(configured_store(), ref))

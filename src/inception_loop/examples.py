"""Examples of every stage's parameters, complete and valid, as ``inception-loop run`` prints them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tomli_w

from inception_loop import night_parameters as n
from inception_loop import parameters as p
from inception_loop.animals.recorded import AnimalDayConfig
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.presets import demo_parameters, small_grid
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.fills import GaborFill, MultiMeiFill, UnmaskedFill
from inception_loop.stimuli.rules import StimulusRules
from inception_loop.watch_parameters import WatchParameters

_TAILS = {
    "train": """
# An artifact may also be given by its kind and the beginning of its digest (before the first table):
#   dataset = "static_multi_dataset/0123abcd"
# With a trained model's core (the grid has to have the same core) only the rest is fitted to the dataset:
#   core = "model/0123abcd"
#
# Instead of the networks above, [grid] may be every combination of parts:
#   [grid]
#   type = "parts"
#   cores = [{type = "GaussianLaplace", gamma_hidden = 0.1}, {type = "GaussianLaplace", gamma_hidden = 1.0}]
#   readouts = [{type = "SpatialTransformerPyramid2d", downsample = false}]
#   seeds = [1009, 1215]
#   restriction = "core.gamma_hidden < 1 OR seed = 1009"
# or the published 64 models, or some of them:
#   [grid]
#   type = "published"
#   restriction = {seed = 1009, "core.gamma_input" = 50}
# More: docs/training.md. What a grid has, and what of it is trained: run train --config FILE.toml --dry-run
""",
    "across-loops": """
# A loop of which the store holds several evidences is given by the one that counts:
#   evidence = ["evidence/0123abcd"]
""",
    "conclude": """
# One later day alone, with the others of its loop, whether a report shows it or not:
#   recording = "17-2-1"
""",
}
"""What else can be said in the file of a stage, as comments."""

SCAN = "animal_id=1/session=1/scan_idx=1"
_SCAN_KEY = ScanKey(animal_id=1, session=1, scan_idx=1)


def example_parameters(stage: str) -> Config:
    """Return example parameters of a stage; references point to artifacts that a reader has to put in.

    Examples
    --------
    >>> example_parameters("ingest").recordings[0].kind
    'recording'
    """
    makers: Mapping[str, Callable[[], Config]] = {
        "present": _present,
        "import": lambda: p.ImportParameters(path="recording.nwb", scan=_SCAN_KEY),
        "ingest": lambda: p.IngestParameters(recordings=(_ref("recording", SCAN),)),
        "dataset": lambda: p.DatasetParameters(recordings=(_ref("recording", SCAN),)),
        "train": lambda: p.TrainParameters(dataset=_ref("static_multi_dataset"), grid=small_grid()),
        "select": lambda: p.SelectParameters(dataset=_ref("static_multi_dataset"), models=(_ref("model"),)),
        "mei": lambda: p.MeiParameters(
            dataset=_ref("static_multi_dataset"),
            target_model=_ref("target_model"),
            selection=_ref("corrected_high_unit_selection"),
        ),
        "stimulus": lambda: p.StimulusParameters(
            recording=_ref("recording", SCAN),
            gallery=_ref("gallery"),
            target_model=_ref("target_model"),
            rules=StimulusRules(fills=(MultiMeiFill(), GaborFill(), UnmaskedFill())),
        ),
        "closed-loop": _closed_loop,
        "across-loops": lambda: p.AcrossLoopsParameters(loop_groups=(0, 1, 2)),
        "report": lambda: p.ReportParameters(evidence=_ref("evidence", "loop_group=0")),
        "loop": lambda: demo_parameters(SimulatedConfig(), size="small", seed=1),
        "watch": lambda: WatchParameters(folder="/data/arrivals"),
        "night": lambda: n.NightParameters(grid=small_grid()),
        "conclude": lambda: n.ConcludeParameters(),
    }
    return makers[stage]()


def example_toml(stage: str) -> str:
    """Return `example_parameters` as TOML, every field spelled out save those that are none."""
    head = f"# inception-loop run {stage} --config FILE.toml  (fields that have a default may be left out)\n"
    return (
        head
        + tomli_w.dumps(_without_none(example_parameters(stage).model_dump(mode="json")))
        + _TAILS.get(stage, "")
    )


def _present() -> Config:
    day = AnimalDayConfig(
        scan=_SCAN_KEY,
        animal=SimulatedConfig(),
        session=NaturalSessionConfig(),
    )
    return p.PresentParameters(day=day)


def _closed_loop() -> Config:
    later = p.LaterScan(
        recording=_ref("recording", SCAN), stimulus_set=_ref("stimulus_set", "loop_group=0"), day=1
    )
    return p.ClosedLoopParameters(
        source=_ref("recording", SCAN), later=(later,), selection=_ref("corrected_high_unit_selection")
    )


def _ref(kind: str, partition: str = "group_id=0") -> ArtifactRef:
    digest = "0" * 64
    return ArtifactRef(kind=kind, digest=digest, uri=f"file:///store/{kind}/{partition}/{digest}")


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value

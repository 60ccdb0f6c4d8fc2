"""The whole loop in seconds, to test how it runs: every stage does the real thing, on too little data."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any, get_args

import tomli_w

from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import DatasetConfig
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.gabors.grid import GaborGrid
from inception_loop.images.judging import Judging
from inception_loop.images.masks.whole import OutlineRule
from inception_loop.images.rules import ImageName, ImageRules
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.parameters import Grid, LoopParameters
from inception_loop.selection.config import HighUnitRules, SelectionRules
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.rules import StimulusRules
from inception_loop.training.config import TrainConfig

GIT = re.compile(rb"<dt>git</dt><dd>[0-9a-f+changes]*</dd>")
Contents = dict[tuple[str, str], dict[str, str]]


def tiny_parameters() -> LoopParameters:
    """Return a loop of 60 cells, 180 trials, four networks of four channels and ten units with images."""
    shape = {"hidden_channels": 4, "input_kern": 7, "hidden_kern": 3, "layers": 2}
    readout = SpatialTransformerPyramid2d(scale_n=1, downsample=False)
    return LoopParameters(
        animal=SimulatedConfig(n_units=60, seed=3),
        session=NaturalSessionConfig(n_train=150, n_repeated=6, repeats=5, height=36, width=64, seed=3),
        dataset=DatasetConfig(group_id=0, description="tiny"),
        grid=Grid(
            networks=(
                CorePlusReadout(core=GaussianLaplace(**shape), readout=readout),
                CorePlusReadout(core=StackedLinearGaussianLaplace(**shape), readout=readout),
            ),
            seeds=(1, 2),
            train=TrainConfig(max_epoch=2, patience=2),
        ),
        selection=SelectionRules(
            rules=HighUnitRules(top_ptile=1.0, percentile=0.0, border_um=0.0, distance_um=0.0, max_rank=6),
            min_units=3,
            panel_simple=3,
            panel_complex=3,
            panel_least=1,
        ),
        images=ImageRules(
            procedure=Fast(iterations=5),
            batch=4,
            judging=Judging(gains=5, reach=1),
            seed=3,
            gabors=GaborGrid(phases=(0.0,), wavelengths=(7.0,), sigmas=(3.0,), orientations=(0.0, 1.5)),
        ),
        stimulus=StimulusRules(session=StimulusConfig(repeats=3, seed=3)),
        n_permutations=99,
    )


def with_every_image(parameters: LoopParameters) -> LoopParameters:
    """Return the loop with every image that rules can ask for."""
    every = {"also": get_args(ImageName), "diverse": 2, "outline": OutlineRule(delta_thr=5.0, min_blob_px=5)}
    return parameters.model_copy(update={"images": parameters.images.model_copy(update=every)})


def as_toml(parameters: LoopParameters) -> str:
    """Return parameters as a person would write them into a file."""
    return tomli_w.dumps(parameters.model_dump(mode="json", exclude_none=True))


def run_here(uri: str, parameters: LoopParameters) -> Any:
    """Run the loop in this process against a store."""
    from flows.loop import inception_loop

    before = os.environ.get("INCEPTION_LOOP_STORE")
    os.environ["INCEPTION_LOOP_STORE"] = uri
    try:
        return inception_loop(parameters)
    finally:
        os.environ.pop("INCEPTION_LOOP_STORE")
        if before is not None:
            os.environ["INCEPTION_LOOP_STORE"] = before


def contents(uri: str) -> Contents:
    """Return the SHA-256 of every payload of every artifact of a store, by (kind, digest).

    The report's is that of the page without the project's git commit: somebody may commit during a campaign.
    """
    store = open_store(uri)
    found = {}
    for ref in (listed.ref for listed in artifacts(store)):
        payloads = store.manifest(ref).payloads
        found[ref.kind, ref.digest] = {name: payload.sha256 for name, payload in payloads.items()}
        if ref.kind == "report":
            page, lines = GIT.subn(b"", store.file(ref, "report"))
            assert lines <= 1
            found[ref.kind, ref.digest]["report"] = hashlib.sha256(page).hexdigest()
    return found

"""Whole parameter sets by name: what ``inception-loop demo`` runs, and the examples that ``run`` prints."""

from __future__ import annotations

from typing import Literal

from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.animals.twin import TwinConfig
from inception_loop.dataset.config import DatasetConfig
from inception_loop.images.ascent.precision import fastest_precision
from inception_loop.images.gabors.grid import GaborGrid
from inception_loop.images.judging import Judging
from inception_loop.images.rules import ImageRules
from inception_loop.network.config import CorePlusReadout, Precision
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.parameters import Grid, LoopParameters
from inception_loop.selection.config import ModelChoice, SelectionRules
from inception_loop.settings import Settings
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.rules import StimulusRules
from inception_loop.training.config import SEEDS
from inception_loop.training.presets import DEMO_TRAIN, demo_networks

Size = Literal["small", "paper"]


def demo_parameters(
    animal: SimulatedConfig | TwinConfig,
    *,
    size: Size,
    seed: int,
    days: int = 1,
    twin_path: str | None = None,
) -> LoopParameters:
    """Return the parameters of a demo.

    ``small`` is a loop of minutes on two cores; ``paper`` has the published networks and session lengths.
    Every later day shows MEIs beside RF images, Gabors, natural images and, with masks, MEIs beside natural
    images: the published loops in one session.

    Examples
    --------
    >>> demo_parameters(SimulatedConfig(), size="small", seed=1).days
    1
    """
    simulated = isinstance(animal, SimulatedConfig)
    return LoopParameters(
        animal=animal,
        twin_path=twin_path,
        days=days,
        session=NaturalSessionConfig(seed=seed, **_session(size, simulated)),
        dataset=DatasetConfig(group_id=0, description=f"{animal.type} animal, seed {seed}"),
        grid=small_grid() if size == "small" else paper_grid(),
        selection=SelectionRules(choice=ModelChoice(validator="held_out_seeds")),
        images=_images(size, seed),
        stimulus=StimulusRules(session=StimulusConfig(seed=seed, repeats=12 if size == "small" else 20)),
    )


def _session(size: Size, simulated: bool) -> dict[str, int]:
    if size == "paper":
        return {"n_train": 5000, "n_repeated": 100, "repeats": 10}
    return {} if simulated else {"n_train": 4000, "n_repeated": 60, "repeats": 10}


def _images(size: Size, seed: int) -> ImageRules:
    if size == "paper":
        return ImageRules(seed=seed, judging=Judging(gains=1000))
    coarse = GaborGrid(sigmas=(3.0, 5.0, 9.0), dy=(-0.3, -0.15, 0.0, 0.15, 0.3))
    return ImageRules(seed=seed, judging=Judging(step=5), gabors=coarse)


def small_grid(precision: Precision | None = None) -> Grid:
    """Return the demo's two families of small networks, see `inception_loop.training.presets`.

    Their convolutions are in the precision given, by default in the one that this machine is fastest in: a
    processor that has to emulate bfloat16 takes many times as long for it.

    Examples
    --------
    >>> small_grid("bfloat16").train.precision
    'bfloat16'
    """
    chosen = precision or fastest_precision(Settings().device)
    return Grid(
        networks=demo_networks(),
        seeds=SEEDS[:3],
        train=DEMO_TRAIN.model_copy(update={"precision": chosen}),
    )


def paper_grid() -> Grid:
    """Return one published configuration of either family with the four published seeds."""
    shape = {"input_kern": 15, "hidden_kern": 7, "gauss_sigma": 0.5, "gauss_bias": 0.0}
    return Grid(
        networks=(
            CorePlusReadout(core=GaussianLaplace(**shape), gain="after"),
            CorePlusReadout(core=StackedLinearGaussianLaplace(**shape), gain="after"),
        ),
        seeds=SEEDS,
    )

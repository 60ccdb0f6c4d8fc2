"""The grid: named lists of every part, combined to models and restricted with plain expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, Literal, TypeVar

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.config import EVERY, MOUSE_V1_LAYERS, CorrectedAreaLayer
from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout, Gain
from inception_loop.network.cores import (
    Core,
    GaussianLaplace,
    Linear,
    LinearGaussianLaplace,
    LinearSigmoidLaplace,
    ModLinear,
    ModStacked2d,
    SigmoidLaplace,
    Stacked2d,
    StackedLinearGaussianLaplace,
)
from inception_loop.network.modulators import MLPModulator, Modulator, NoModulator
from inception_loop.network.output import Output
from inception_loop.network.readouts import (
    ModifiedSpatialTransformerPyramid2d,
    Readout,
    SpatialTransformer2d,
    SpatialTransformerPooled2d,
    SpatialTransformerPyramid2d,
    SpatialXFeatures,
)
from inception_loop.network.shifters import MLPShifter, NoShifter, Shifter, StaticAffine2d
from inception_loop.training.config import SEEDS, ModelConfig, TrainConfig
from inception_loop.training.restriction import Restriction, matching, rows_of

C = TypeVar("C", bound=Config)
Values = Mapping[str, Sequence[Any]]
Parts = Mapping[str, tuple[type[Config], Values]]

FIRST: Values = {"input_kern": (7, 11, 13, 15, 18, 19, 23), "gamma_input": (50, 100)}
HIDDEN: Values = {"hidden_kern": (1, 3, 7), "gamma_hidden": (0.1, 1)}
SKIP: Values = {"skip": (0, 3)}
PADDING: Values = {"laplace_padding": (0, 1)}
GAUSS: Values = {"gauss_sigma": (0.5, 1), "gauss_bias": (0, 0.5)}
SIGMOID: Values = {"sigmoid_scale": (1, 2)}
PUBLISHED_CORES: Parts = {
    "Stacked2d": (Stacked2d, {**FIRST, **HIDDEN, **SKIP}),
    "ModStacked2d": (ModStacked2d, {**FIRST, **HIDDEN, **SKIP, **PADDING}),
    "Linear": (Linear, FIRST),
    "ModLinear": (ModLinear, {**FIRST, **PADDING}),
    "SigmoidLaplace": (SigmoidLaplace, {**FIRST, **HIDDEN, **SKIP, **SIGMOID}),
    "LinearSigmoidLaplace": (LinearSigmoidLaplace, {**FIRST, **SIGMOID}),
    "GaussianLaplace": (GaussianLaplace, {**FIRST, **HIDDEN, **GAUSS}),
    "LinearGaussianLaplace": (LinearGaussianLaplace, {**FIRST, **GAUSS}),
    "StackedLinearGaussianLaplace": (StackedLinearGaussianLaplace, {**FIRST, **HIDDEN, **GAUSS}),
}
"""Core → its configuration and the published values of what varies; all else is the default."""

PYRAMIDS: Values = {"downsample": (True, False)}
PUBLISHED_READOUTS: Parts = {
    "SpatialTransformerPyramid2d": (SpatialTransformerPyramid2d, PYRAMIDS),
    "ModifiedSpatialTransformerPyramid2d": (ModifiedSpatialTransformerPyramid2d, PYRAMIDS),
    "SpatialTransformerPooled2d": (SpatialTransformerPooled2d, {}),
    "SpatialTransformer2d": (SpatialTransformer2d, {}),
    "SpatialXFeatures": (SpatialXFeatures, {}),
}
PUBLISHED_SHIFTERS: Parts = {
    "MLP": (MLPShifter, {}),
    "StaticAffine2d": (StaticAffine2d, {}),
    "No": (NoShifter, {}),
}
PUBLISHED_MODULATORS: Parts = {"MLP": (MLPModulator, {}), "No": (NoModulator, {})}

BATCH_SIZES = (60, 125, 250)
PUBLISHED_SELECTION: dict[str, Any] = {
    "core.type": ["GaussianLaplace", "StackedLinearGaussianLaplace"],
    "core.gauss_bias": 0,
    "core.gauss_sigma": 0.5,
    "core.input_kern": 15,
    "core.hidden_kern": 7,
    "readout.type": "SpatialTransformerPyramid2d",
    "shifter.type": "MLP",
    "modulator.type": "MLP",
    "train.batch_size": 60,
    "data.stimulus_type": "stimulus.Frame",
    "data.exclude": [[]],
    "data.normalize": True,
    "data.normalize_per_image": False,
    "data.layer": "L2/3",
    "data.brain_area": EVERY,
}
"""Walker et al. 2019: 8 cores (2 families × gamma_hidden × gamma_input) × 2 readouts × 4 seeds: 64 models."""


def fill(part: type[C], values: Values) -> tuple[C, ...]:
    """Enumerate a part: the product over the values of some fields, the first field slowest.

    Examples
    --------
    >>> [one.downsample for one in fill(SpatialTransformerPyramid2d, {"downsample": (True, False)})]
    [True, False]
    """
    return tuple(part(**dict(zip(values, chosen, strict=True))) for chosen in product(*values.values()))


def named(parts: Parts, *names: str) -> tuple[Any, ...]:
    """Enumerate the published configurations of the parts of some names, in that order.

    Raises
    ------
    ConfigurationError
        If a name is unknown.

    Examples
    --------
    >>> len(named(PUBLISHED_CORES, "GaussianLaplace")), len(named(PUBLISHED_READOUTS, *PUBLISHED_READOUTS))
    (336, 7)
    """
    unknown = sorted(set(names) - set(parts))
    if unknown:
        raise ConfigurationError(
            f"no published grid is called {unknown[0]!r}; expected some of {', '.join(parts)}"
        )
    return tuple(config for part, values in map(parts.__getitem__, names) for config in fill(part, values))


class PartsGrid(Config):
    """Every combination of parts, trainings, data and seeds: NetworkConfig.CorePlusReadout and the rest.

    Examples
    --------
    >>> grid = PartsGrid(cores=named(PUBLISHED_CORES, "GaussianLaplace"), seeds=(1, 2))
    >>> grid.size, len(grid.models(0, "core.input_kern = 15 AND core.hidden_kern = 7"))
    (672, 32)
    """

    type: Literal["parts"] = "parts"
    cores: tuple[Core, ...] = Field((GaussianLaplace(),), min_length=1, description="Cores.")
    readouts: tuple[Readout, ...] = Field(
        (SpatialTransformerPyramid2d(),), min_length=1, description="Readouts."
    )
    shifters: tuple[Shifter, ...] = Field((MLPShifter(),), min_length=1, description="Shifters.")
    modulators: tuple[Modulator, ...] = Field((MLPModulator(),), min_length=1, description="Modulators.")
    gains: tuple[Gain, ...] = Field(("before",), min_length=1, description="Where the gain acts.")
    outputs: tuple[Output, ...] = Field(("elu1",), min_length=1, description="Output nonlinearities.")
    trains: tuple[TrainConfig, ...] = Field((TrainConfig(),), min_length=1, description="Trainings.")
    datas: tuple[CorrectedAreaLayer, ...] = Field(
        (CorrectedAreaLayer(),), min_length=1, description="Units and normalisation."
    )
    seeds: tuple[int, ...] = Field(SEEDS, min_length=1, description="Seeds.")
    restriction: Restriction | None = Field(
        None, description="Plain expression: which of the combinations are meant; none: all."
    )

    @property
    def size(self) -> int:
        """Number of combinations, the restriction left aside."""
        return prod(len(choices) for choices in self._choices().values())

    def models(self, group_id: int, restriction: Restriction | None = None) -> list[ModelConfig]:
        """Enumerate the models: core by core, then readout by readout, …, the seeds fastest.

        Parameters
        ----------
        group_id
            Number of the group of scans.
        restriction
            Instead of the grid's own; see `restrict`. Combinations that it leaves out are never built.

        Raises
        ------
        ConfigurationError
            If the restriction is wrong or leaves nothing.
        """
        choices = self._choices()
        frames = [_frame(name, values) for name, values in choices.items()]
        wanted = self.restriction if restriction is None else restriction
        chosen = [
            dict(zip(choices, map(_pick, choices.values(), rows), strict=True))
            for rows in matching(wanted, *frames).iter_rows()
        ]
        if not chosen:
            raise ConfigurationError(
                f"the restriction {wanted!r} leaves none of the grid's {self.size} combinations; loosen it"
            )
        return [_model(group_id, one) for one in chosen]

    def _choices(self) -> dict[str, Sequence[Any]]:
        return {
            "core": self.cores,
            "readout": self.readouts,
            "shifter": self.shifters,
            "modulator": self.modulators,
            "gain": self.gains,
            "output": self.outputs,
            "train": self.trains,
            "data": self.datas,
            "seed": self.seeds,
        }


def _frame(name: str, values: Sequence[Any]) -> pl.DataFrame:
    plain = [value.model_dump(mode="json") if isinstance(value, Config) else value for value in values]
    return rows_of([{name: value} for value in plain])


def _pick(values: Sequence[Any], row: int) -> Any:
    return values[row]


def _model(group_id: int, parts: dict[str, Any]) -> ModelConfig:
    rest = {name: parts.pop(name) for name in ("data", "train", "seed")}
    return ModelConfig(group_id=group_id, network=CorePlusReadout(**parts), **rest)


class PublishedGrid(Config):
    """The published candidates (Walker et al. 2019), by default restricted to the published 64 models."""

    type: Literal["published"] = "published"
    cores: tuple[str, ...] = Field(
        ("GaussianLaplace", "StackedLinearGaussianLaplace"), min_length=1, description="Families of cores."
    )
    readouts: tuple[str, ...] = Field(
        ("SpatialTransformerPyramid2d",), min_length=1, description="Families of readouts."
    )
    shifters: tuple[str, ...] = Field(("MLP",), min_length=1, description="Families of shifters.")
    modulators: tuple[str, ...] = Field(("MLP",), min_length=1, description="Families of modulators.")
    gain: Gain = Field("before", description="Where the gain acts: before the output (published) or after.")
    train: TrainConfig = Field(
        TrainConfig(), description="How each is trained; batch_size takes the published values in turn."
    )
    layers: tuple[str, ...] = Field(
        tuple(rule.layer for rule in MOUSE_V1_LAYERS), min_length=1, description="Layers of the data."
    )
    brain_areas: tuple[str, ...] = Field(("V1", EVERY), min_length=1, description="Areas of the data.")
    seeds: tuple[int, ...] = Field(SEEDS, min_length=1, description="Seeds.")
    restriction: Restriction | None = Field(
        PUBLISHED_SELECTION, description="Plain expression: which candidates are meant."
    )

    def candidates(self) -> PartsGrid:
        """Return all candidates as a grid of parts, with the restriction."""
        return PartsGrid(
            cores=named(PUBLISHED_CORES, *self.cores),
            readouts=named(PUBLISHED_READOUTS, *self.readouts),
            shifters=named(PUBLISHED_SHIFTERS, *self.shifters),
            modulators=named(PUBLISHED_MODULATORS, *self.modulators),
            gains=(self.gain,),
            trains=tuple(self.train.model_copy(update={"batch_size": size}) for size in BATCH_SIZES),
            datas=tuple(CorrectedAreaLayer.fill(self.layers, self.brain_areas)),
            seeds=self.seeds,
            restriction=self.restriction,
        )

    def models(self, group_id: int) -> list[ModelConfig]:
        """Enumerate the models that the restriction leaves."""
        return self.candidates().models(group_id)


def published_grid() -> PartsGrid:
    """Return the full published candidate grid of the two families of the closed loop, unrestricted.

    Examples
    --------
    >>> grid = published_grid()
    >>> grid.size, len(grid.models(0, PUBLISHED_SELECTION))
    (2580480, 64)
    """
    return PublishedGrid(restriction=None).candidates()

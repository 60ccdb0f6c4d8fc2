"""The published grid (Walker et al. 2019): its parts by family, and the 64 models that were chosen of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.config import EVERY, MOUSE_V1_LAYERS, CorrectedAreaLayer
from inception_loop.errors import ConfigurationError
from inception_loop.network.config import Gain
from inception_loop.network.cores import (
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
from inception_loop.network.modulators import MLPModulator, NoModulator
from inception_loop.network.readouts import (
    ModifiedSpatialTransformerPyramid2d,
    SpatialTransformer2d,
    SpatialTransformerPooled2d,
    SpatialTransformerPyramid2d,
    SpatialXFeatures,
)
from inception_loop.network.shifters import MLPShifter, NoShifter, StaticAffine2d
from inception_loop.training.config import SEEDS, ModelConfig, TrainConfig
from inception_loop.training.grid import MOST_MODELS, MostModels, PartsGrid, Values, fill
from inception_loop.training.restriction import Restriction

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
_OF_CORES = ("core.type", "core.input_kern", "core.hidden_kern", "core.gauss_sigma", "core.gauss_bias")


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


class PublishedGrid(Config):
    """The published candidates (Walker et al. 2019), by default those of them that were published: 64 models.

    Examples
    --------
    >>> len(PublishedGrid().models(0)), len(PublishedGrid(restriction={"seed": 1009}).models(0))
    (64, 16)
    """

    type: Literal["published"] = "published"
    selection: Literal["published", "all"] = Field(
        "published", description="Which candidates are meant at first: the published 64, or all."
    )
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
        None, description="Plain expression: which of the selected candidates are meant; none: all."
    )
    most_models: MostModels = MOST_MODELS

    def candidates(self) -> PartsGrid:
        """Return all candidates as a grid of parts: neither selected nor restricted."""
        return PartsGrid(
            cores=named(PUBLISHED_CORES, *self.cores),
            readouts=named(PUBLISHED_READOUTS, *self.readouts),
            shifters=named(PUBLISHED_SHIFTERS, *self.shifters),
            modulators=named(PUBLISHED_MODULATORS, *self.modulators),
            gains=(self.gain,),
            trains=tuple(self.train.model_copy(update={"batch_size": size}) for size in BATCH_SIZES),
            datas=tuple(CorrectedAreaLayer.fill(self.layers, self.brain_areas)),
            seeds=self.seeds,
        )

    def models(self, group_id: int) -> list[ModelConfig]:
        """Enumerate the models that the selection and the restriction leave.

        Raises
        ------
        ConfigurationError
            If the restriction is wrong, a family is unknown, there are more than ``most_models``, or nothing
            is left: of all, or of a family, a layer, an area or a seed that the grid lists by name.
        """
        grid = self.candidates()
        within = PUBLISHED_SELECTION if self.selection == "published" else None
        rows = grid.matching(self.restriction, within)
        gone = self._gone(grid, rows)
        if gone or rows.is_empty():
            lost = "of the listed " + " and ".join(f"{name} {', '.join(gone[name])}" for name in gone)
            raise ConfigurationError(
                f"{self._filters('cores' in gone)} leaves no model{f' {lost}' if gone else ''} of "
                f"{grid.size:,} candidates; {'list others' if gone else 'loosen the restriction'}{self._or()}"
            )
        return grid.build(group_id, rows, self.most_models)

    def _gone(self, grid: PartsGrid, rows: pl.DataFrame) -> dict[str, list[str]]:
        """Return what is listed by name, other than by default, and has no model left."""
        choices = grid.choices()
        left = {name: [choices[name][place] for place in rows[name].unique()] for name in rows.columns}
        found: dict[str, set[Any]] = {
            "cores": {part.type for part in left["core"]},
            "readouts": {part.type for part in left["readout"]},
            "shifters": {part.type for part in left["shifter"]},
            "modulators": {part.type for part in left["modulator"]},
            "layers": {data.layer for data in left["data"]},
            "brain_areas": {data.brain_area for data in left["data"]},
            "seeds": set(left["seed"]),
        }
        gone = {
            name: [str(one) for one in getattr(self, name) if one not in kept]
            for name, kept in found.items()
            if getattr(self, name) != type(self).model_fields[name].default
        }
        return {name: lost for name, lost in gone.items() if lost}

    def _filters(self, of_cores: bool) -> str:
        own = "" if self.restriction is None else f"the restriction {self.restriction!r}"
        if self.selection == "all":
            return own or "the grid"
        asked = [f"{name} = {PUBLISHED_SELECTION[name]}" for name in _OF_CORES] if of_cores else []
        selection = "the published selection" + (f" ({', '.join(asked)})" if asked else "")
        return selection + (f" with {own}" if own else "")

    def _or(self) -> str:
        if self.selection == "all":
            return ""
        return ', or choose yourself with selection = "all" and a restriction'


def published_grid() -> PartsGrid:
    """Return the full published candidate grid of the two families of the closed loop, unrestricted.

    Examples
    --------
    >>> grid = published_grid()
    >>> grid.size, len(grid.models(0, PUBLISHED_SELECTION))
    (2580480, 64)
    """
    return PublishedGrid(selection="all").candidates()

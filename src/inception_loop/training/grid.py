"""The grid: named lists of every part, combined to models and restricted with plain expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Annotated, Any, Literal, TypeVar

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout, Gain
from inception_loop.network.cores import Core, GaussianLaplace
from inception_loop.network.modulators import MLPModulator, Modulator
from inception_loop.network.output import Output
from inception_loop.network.readouts import Readout, SpatialTransformerPyramid2d
from inception_loop.network.shifters import MLPShifter, Shifter
from inception_loop.training.config import SEEDS, ModelConfig, TrainConfig
from inception_loop.training.restriction import Restriction, matching, rows_of

C = TypeVar("C", bound=Config)
Values = Mapping[str, Sequence[Any]]

MOST_MODELS = 1000
MostModels = Annotated[
    int, Field(ge=1, description="More models than this are refused: a slip in a restriction is costly.")
]


def fill(part: type[C], values: Values) -> tuple[C, ...]:
    """Enumerate a part: the product over the values of some fields, the first field slowest.

    Examples
    --------
    >>> [one.downsample for one in fill(SpatialTransformerPyramid2d, {"downsample": (True, False)})]
    [True, False]
    """
    return tuple(part(**dict(zip(values, chosen, strict=True))) for chosen in product(*values.values()))


class PartsGrid(Config):
    """Every combination of parts, trainings, data and seeds: NetworkConfig.CorePlusReadout and the rest.

    Examples
    --------
    >>> kernels = {"input_kern": (7, 11, 15), "hidden_kern": (3, 7)}
    >>> grid = PartsGrid(cores=fill(GaussianLaplace, kernels), seeds=(1, 2))
    >>> grid.size, len(grid.models(0, "core.input_kern = 15 AND core.hidden_kern = 7"))
    (12, 2)
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
    most_models: MostModels = MOST_MODELS

    @property
    def size(self) -> int:
        """Number of combinations, the restriction left aside."""
        return prod(len(choices) for choices in self.choices().values())

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
            If the restriction is wrong, leaves nothing, or leaves more than ``most_models``.
        """
        wanted = self.restriction if restriction is None else restriction
        rows = self.matching(wanted)
        if rows.is_empty():
            raise ConfigurationError(
                f"the restriction {wanted!r} leaves none of the grid's {self.size} combinations; loosen it"
            )
        return self.build(group_id, rows, self.most_models)

    def matching(
        self, restriction: Restriction | None, within: Mapping[str, Any] | None = None
    ) -> pl.DataFrame:
        """Return which combinations are meant: a column a choice (`choices`), in order, of places in it.

        Parameters
        ----------
        restriction, within
            Expressions that both have to hold; see `restriction.matching`.
        """
        choices = self.choices()
        rows = matching(restriction, *map(_frame, choices, choices.values()), within=within)
        return rows.rename(dict(zip(rows.columns, choices, strict=True)))

    def build(self, group_id: int, rows: pl.DataFrame, most: int) -> list[ModelConfig]:
        """Build the models of some combinations, as `matching` gives them; more than ``most`` are refused."""
        refuse_too_many(len(rows), most)
        choices = self.choices()
        return [
            _model(group_id, dict(zip(choices, map(_pick, choices.values(), chosen), strict=True)))
            for chosen in rows.iter_rows()
        ]

    def choices(self) -> dict[str, Sequence[Any]]:
        """Return what can be chosen, by the name that a model's field has in expressions."""
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


def refuse_too_many(count: int, most: int) -> None:
    """Refuse more models than are allowed.

    Raises
    ------
    ConfigurationError
        If so; it says how many there are.
    """
    if count > most:
        raise ConfigurationError(
            f"the grid has {count:,} models; expected at most most_models = {most}; restrict it, "
            f"or give it most_models = {count}"
        )


def _frame(name: str, values: Sequence[Any]) -> pl.DataFrame:
    plain = [value.model_dump(mode="json") if isinstance(value, Config) else value for value in values]
    return rows_of([{name: value} for value in plain])


def _pick(values: Sequence[Any], row: int) -> Any:
    return values[row]


def _model(group_id: int, parts: dict[str, Any]) -> ModelConfig:
    rest = {name: parts.pop(name) for name in ("data", "train", "seed")}
    return ModelConfig(group_id=group_id, network=CorePlusReadout(**parts), **rest)

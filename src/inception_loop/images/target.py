"""For whom images are made: a batch of units of one adjusted model, part of the configuration."""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field, field_validator

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Column
from inception_loop.images.network import AdjustedModel, LoadAdjusted, Precision
from inception_loop.training.modes import Held

F64, I64, TEXT = pa.float64(), pa.int64(), pa.string()

TARGET_COLUMNS = {
    "name": Column(TEXT, "readout key of the unit's scan"),
    "neuron_id": Column(I64, "column of the unit in the readout"),
    "unit_id": Column(I64, "number of the unit in its scan"),
}


class TargetUnit(Config):
    """One unit that wants an image."""

    neuron_id: int = Field(ge=0, description="Column of the unit in the readout.")
    unit_id: int = Field(ge=0, description="Number of the unit in its scan.")


class TargetConfig(Config):
    """The units of one batch and the state of the animal in which their model is evaluated."""

    group_id: int = Field(ge=0, description="Group that the models were trained on.")
    name: str = Field(min_length=1, description="Readout key of the units' scan.")
    units: tuple[TargetUnit, ...] = Field(min_length=1, description="The units of this batch, in order.")
    eye: Held = Field("training_mean", description="Where the animal looks.")
    behavior: Held = Field("none", description="Its pupil and running; none: no gain at all.")
    precision: Precision = Field("float32", description="Of the convolutions of the networks.")

    @field_validator("units")
    @classmethod
    def _once(cls, units: tuple[TargetUnit, ...]) -> tuple[TargetUnit, ...]:
        for what in ("neuron_id", "unit_id"):
            ids = [getattr(unit, what) for unit in units]
            twice = sorted({i for i in ids if ids.count(i) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]} stands twice in a batch; expected each unit once")
        return units

    @property
    def neuron_ids(self) -> list[int]:
        """Columns of the units in the readout."""
        return [unit.neuron_id for unit in self.units]

    @property
    def noise_keys(self) -> list[str]:
        """What each unit is called when its random numbers are drawn."""
        return [f"{self.name}/{unit.unit_id}" for unit in self.units]

    def columns(self) -> dict[str, list[str] | list[int]]:
        """Return the columns of `TARGET_COLUMNS`, a row a unit."""
        return {
            "name": [self.name] * len(self.units),
            "neuron_id": self.neuron_ids,
            "unit_id": [unit.unit_id for unit in self.units],
        }

    def load(self, load: LoadAdjusted) -> AdjustedModel:
        """Load the adjusted model of these units."""
        return load(self.name, eye=self.eye, behavior=self.behavior, precision=self.precision)

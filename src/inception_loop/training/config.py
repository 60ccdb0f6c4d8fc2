"""How a network is trained, and everything that names one model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.network.config import CorePlusReadout, Precision

StartPositions = Literal["center", "responses"]
RoundRobin = Literal["longest", "shortest"]
SEEDS = (1009, 1215, 2606, 99999)
"""The published seeds."""


class TrainConfig(Config):
    """Adam at one learning rate after the other, each until the validation correlation stops rising.

    Defaults as published (Walker et al. 2019), save ``round_robin``: no data is cut off.

    Examples
    --------
    >>> TrainConfig().learning_rates
    (0.005, 0.001)
    """

    type: Literal["Default"] = "Default"
    batch_size: int = Field(60, ge=2, description="Most trials a batch; an epoch's batches are of even size.")
    learning_rates: tuple[float, ...] = Field(
        (0.005, 0.001),
        min_length=1,
        description="Of Adam, one stage each; a stage begins at the best weights so far.",
    )
    start_positions: StartPositions = Field(
        "center",
        description="Where readouts look at first: near the centre (published), or where images and "
        "responses of the training trials correlate.",
    )
    position_rate: float = Field(
        1.0, gt=0, description="Learning rate of the readouts' positions, as a multiple of the others'."
    )
    max_epoch: int = Field(500, ge=0, description="Epochs of all stages together.")
    stage_epochs: tuple[int, ...] | None = Field(
        None, description="Most epochs of each stage; none: a stage ends by patience or max_epoch alone."
    )
    patience: int = Field(10, ge=1, description="Epochs without improvement that end a stage.")
    tolerance: float = Field(1e-6, ge=0, description="Least rise of the validation correlation that counts.")
    round_robin: RoundRobin = Field(
        "longest",
        description="An epoch ends with the longest scan (shorter ones start again) or the shortest.",
    )
    precision: Precision = Field("float32", description="Of the core's convolutions while training.")

    @field_validator("batch_size", mode="before")
    @classmethod
    def _enough_for_batch_norm(cls, value: object) -> object:
        if isinstance(value, int) and value < 2:
            raise ValueError(
                f"batch_size is {value}; expected at least 2: batch norm has no spread of one image"
            )
        return value

    @field_validator("learning_rates")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 0:
            raise ValueError(f"learning_rates are {value}; expected positive numbers")
        return value

    @model_validator(mode="after")
    def _one_a_stage(self) -> TrainConfig:
        epochs = self.stage_epochs
        if epochs is not None and (len(epochs) != len(self.learning_rates) or min(epochs) < 1):
            raise ValueError(
                f"stage_epochs are {epochs}; expected one number ≥ 1 for each of {self.learning_rates}"
            )
        return self


class ModelConfig(Config):
    """One model: a group's data as configured, a network, a training, a seed."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    data: CorrectedAreaLayer = Field(
        default_factory=CorrectedAreaLayer, description="Which units, and how the data are normalised."
    )
    network: CorePlusReadout = Field(default_factory=CorePlusReadout, description="The network's parts.")
    train: TrainConfig = Field(default_factory=TrainConfig, description="How it is trained.")
    seed: int = Field(
        1009, ge=0, lt=2**63, description="Of the initial weights and of the order of the trials."
    )

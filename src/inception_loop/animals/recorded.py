"""Recorded days of digital animals in the artifact store: the recording and, apart from it, the truth."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Protocol, Self

import numpy as np
from pydantic import Field, model_validator

from inception_loop.animals.population import Float32s
from inception_loop.animals.session import NaturalSessionConfig, Session, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
from inception_loop.animals.truth import Truth
from inception_loop.animals.truth_archive import ANIMAL_TRUTH, save_truth
from inception_loop.animals.twin import TwinAnimal, TwinConfig
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import ConfigurationError
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.recording import CONDITION_COLUMNS, Recording, ScanKey

AnimalConfig = Annotated[SimulatedConfig | TwinConfig, Field(discriminator="type")]


class Animal(Protocol):
    """A stand-in for a mouse."""

    def record(self, session: Session, day: int, scan: ScanKey | None = None) -> tuple[Recording, Truth]:
        """Record a session: day 0 is the first, later days have jittered, missing and new cells."""

    def respond(self, images: Float32s) -> Float32s:
        """Return noise-free responses (K, N) of day 0's cells to images (K, 36, 64) in grey levels."""


def open_animal(config: SimulatedConfig | TwinConfig, twin_path: str | Path | None = None) -> Animal:
    """Return the animal of a configuration.

    Raises
    ------
    ConfigurationError
        If a twin is asked for without its file or with another file than its hash names.
    """
    if isinstance(config, SimulatedConfig):
        return SimulatedAnimal(config)
    if twin_path is None:
        raise ConfigurationError(
            f"the twin {config.sha256[:12]}… is to be recorded but no file was given; "
            "expected the path of its NPZ file; give it"
        )
    return TwinAnimal(config, twin_path)


class AnimalDayConfig(Config):
    """One recorded day of an animal."""

    scan: ScanKey = Field(description="The scan that the day becomes.")
    animal: AnimalConfig = Field(description="The animal.")
    day: int = Field(default=0, ge=0, description="0 is the first day; cells change from day to day.")
    session: NaturalSessionConfig | None = Field(
        default=None, description="Natural images to show; none where a stimulus set is shown."
    )
    shown_s: float = Field(
        default=0.5, gt=0, description="How long each image of a stimulus set is shown, s."
    )

    @model_validator(mode="after")
    def _one_animal(self) -> Self:
        if self.scan.animal_id != self.animal.animal_id:
            raise ValueError(
                f"scan {self.scan} is of animal {self.scan.animal_id}, "
                f"but the animal has number {self.animal.animal_id}; expected the same"
            )
        return self


def stimulus_session(store: ArtifactStore, stimulus: ArtifactRef, shown_s: float) -> Session:
    """Return the session of a stimulus set: its images, and its trials in order of ``position``.

    A set may list an image once for each unit that it is meant for; an animal knows it as one condition.
    """
    listed = store.table(stimulus, "conditions").select(CONDITION_COLUMNS)
    conditions = listed.unique("condition_hash", keep="first", maintain_order=True)
    row_of = {name: row for row, name in enumerate(conditions["condition_hash"])}
    shown = store.table(stimulus, "trials").sort("position")["condition_row"]
    order = np.array([row_of[name] for name in listed["condition_hash"].gather(shown)], dtype=np.int64)
    return Session(np.asarray(store.arrays(stimulus, "images")["images"]), conditions, order, shown_s)


def make_recorded_day(
    store: ArtifactStore,
    config: AnimalDayConfig,
    *,
    stimulus: ArtifactRef | None = None,
    twin_path: str | Path | None = None,
) -> tuple[Outcome, Outcome]:
    """Record one day of an animal: artifacts of kind ``recording`` and ``animal_truth``.

    Parameters
    ----------
    store
    config
    stimulus
        The stimulus set to show; then ``config.session`` must be None, and the other way round.
    twin_path
        The file of a twin; read only if something has to be computed.

    Raises
    ------
    ConfigurationError
        If both or neither of session and stimulus are given, or the twin's file is missing or another one.
    """
    if (config.session is None) == (stimulus is None):
        raise ConfigurationError(
            f"scan {config.scan} got session {config.session} and stimulus {stimulus}; "
            "expected exactly one of them"
        )
    inputs = {} if stimulus is None else {"stimulus": stimulus}

    @cache  # the two artifacts come from one day
    def day() -> tuple[Recording, Truth]:
        if stimulus is not None:
            shown = stimulus_session(store, stimulus, config.shown_s)
        else:
            shown = natural_session(config.session or NaturalSessionConfig())
        return open_animal(config.animal, twin_path).record(shown, config.day, config.scan)

    def build_recording(attempt: Attempt) -> None:
        save_recording(attempt, day()[0])

    def build_truth(attempt: Attempt) -> None:
        save_truth(attempt, day()[1])

    return (
        store.make(RECORDING, config, build_recording, inputs),
        store.make(ANIMAL_TRUTH, config, build_truth, inputs),
    )

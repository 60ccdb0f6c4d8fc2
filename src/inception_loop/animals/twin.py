"""A digital twin: a published network of a real mouse plays the animal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field, model_validator

from inception_loop.animals.behavior import BehaviorConfig, Norms, TrialBehavior, reference_behavior
from inception_loop.animals.cells import HEIGHT, WIDTH
from inception_loop.animals.cortex import CortexConfig, Places, later_day, place_cells
from inception_loop.animals.day import record_day
from inception_loop.animals.population import Float32s, Floats
from inception_loop.animals.reference_images import reference_images
from inception_loop.animals.rig import RigConfig
from inception_loop.animals.session import Session
from inception_loop.animals.truth import Truth
from inception_loop.animals.twin_network import TwinNetwork, file_sha256
from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError
from inception_loop.recordings.recording import Recording, ScanKey

BATCH = 64


class TwinConfig(Config):
    """A twin. The file is known by the hash of its bytes; its path is no part of the identity."""

    type: Literal["twin"] = "twin"
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the network's file.")
    animal_id: int = Field(default=2, ge=0, description="Number of the animal.")
    seed: int = Field(default=1, ge=0, description="Seed of the choice of cells, of places, days and noise.")
    n_units: int = Field(default=640, ge=1, description="Cells found on the first day.")
    reliable_share: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="Cells are drawn from this share of the network's cells: those whose prediction varies "
        "most over natural images. A real rig would find the unreliable ones too.",
    )
    um_scale: float = Field(default=315.0, gt=0, description="µm that 1 in the file's cortex_xy stands for.")
    mean_grey: float = Field(
        default=128.0, ge=0, le=255, description="Grey level that the network takes as zero."
    )
    contrast_grey: float = Field(default=55.0, gt=0, description="Grey levels that the network takes as one.")
    total_variance: float = Field(
        default=1.0, gt=0, description="Variance of a cell's response over natural images, noise included."
    )
    least_noise: float = Field(default=0.1, gt=0, description="Least noise variance of a cell.")
    rig: RigConfig = RigConfig()
    behavior: BehaviorConfig = BehaviorConfig()
    cortex: CortexConfig = CortexConfig(
        field_um=640.0,
        apart_um=6.0,
        depths_um=(130.0, 180.0, 230.0, 280.0, 330.0),
        depth_shares=(0.2, 0.2, 0.2, 0.2, 0.2),
        lateral_share=0.0,
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if 2 * self.um_scale > self.cortex.field_um:
            raise ValueError(
                f"um_scale {self.um_scale} spreads the cells over {2 * self.um_scale} µm; expected at most "
                f"the field's {self.cortex.field_um} µm; enlarge cortex.field_um"
            )
        return self


def twin_config(path: str | Path, **options: object) -> TwinConfig:
    """Return the configuration of the twin in a file, with the hash of its bytes.

    Raises
    ------
    ConfigurationError
        If the file cannot be read or an option is wrong.
    """
    try:
        return TwinConfig.model_validate({"sha256": file_sha256(path), **options})
    except ValueError as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"the twin's options {options} are wrong: {error}") from error


class TwinAnimal:
    """The animal of a configuration and the file that it names by hash.

    Parameters
    ----------
    config : TwinConfig
    path : str or Path

    Raises
    ------
    ConfigurationError
        If the file is not the one of the configuration, is no twin, or has too few cells.
    """

    def __init__(self, config: TwinConfig, path: str | Path) -> None:
        found = file_sha256(path)
        if found != config.sha256:
            raise ConfigurationError(
                f"the file {path} has SHA-256 {found[:12]}…; expected {config.sha256[:12]}…, "
                "which the configuration names; give that file or make the configuration from this one"
            )
        self.config = config
        self.network = TwinNetwork(path)
        self._check_cells()

    def _check_cells(self) -> None:
        new = round(self.config.cortex.new * self.config.n_units)
        if len(self._candidates) < self.config.n_units + new:
            raise ConfigurationError(
                f"the twin has {len(self._candidates)} cells to choose from; expected at least "
                f"{self.config.n_units} for n_units and {new} new ones; lower n_units or raise reliable_share"
            )

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        """Mean and variance of every cell's prediction over natural images and typical behaviour."""
        everyone = TwinPopulation(self, np.arange(self.network.n_cells), _nowhere(), np.ones(1))
        images = reference_images()
        behavior = reference_behavior(self.config.behavior)[0]
        states = behavior.take(np.arange(len(images)) * (len(behavior.pupil) // len(images)))
        response = everyone.expected(images, np.arange(len(images)), states).astype(np.float64)
        return response.mean(axis=0), response.var(axis=0, ddof=1)

    @cached_property
    def _candidates(self) -> npt.NDArray[np.int64]:
        count = int(np.ceil(self.config.reliable_share * self.network.n_cells))
        order = np.argsort(-self._moments[1], kind="stable")[:count]
        return np.random.default_rng([self.config.seed, 4]).permutation(np.sort(order))

    @cached_property
    def cell_id(self) -> npt.NDArray[np.int64]:
        """Rows of the file that day 0 finds, ascending: the identity of the cells."""
        return np.sort(self._candidates[: self.config.n_units])

    @cached_property
    def places(self) -> Places:
        """Where the cells of day 0 lie."""
        return self._place(self.cell_id, np.random.default_rng([self.config.seed, 1]))

    def _place(
        self, cells: npt.NDArray[np.int64], rng: np.random.Generator, taken: Places | None = None
    ) -> Places:
        xy = self.network.cortex_xy[cells].astype(np.float64) * self.config.um_scale
        return place_cells(len(cells), self.config.cortex, rng, xy=xy, taken=taken)

    def population(self, day: int) -> TwinPopulation:
        """Return the cells that a scan finds on a day (0 = first)."""
        if day == 0:
            return self._population(self.cell_id, self.places)
        config = self.config
        rng = np.random.default_rng([config.seed, day, 2])
        count = round(config.cortex.new * config.n_units)
        strangers = rng.choice(self._candidates[config.n_units :], size=count, replace=False)
        kept, moved = later_day(self.places, config.cortex, config.seed, day)
        fresh = self._place(strangers, rng, taken=moved)
        return self._population(np.concatenate([self.cell_id[kept], strangers]), moved.join(fresh))

    def _population(self, cells: npt.NDArray[np.int64], places: Places) -> TwinPopulation:
        mean, variance = (moment[cells] for moment in self._moments)
        noise = np.maximum(self.config.total_variance - variance, self.config.least_noise)
        return TwinPopulation(self, cells, places, noise / np.maximum(mean, 1e-3))

    def record(self, session: Session, day: int, scan: ScanKey | None = None) -> tuple[Recording, Truth]:
        """Record a session on a day: 0 the first, 1, 2, … later ones with jittered, missing and new cells."""
        return record_day(self.population(day), self.config, session, day, scan)

    def respond(self, images: Float32s) -> Float32s:
        """Return noise-free responses (K, n_units) to images (K, 36, 64) in grey levels.

        The eye is at its mean and behaviour at its mean; cells of day 0 in ascending unit id.
        """
        means = (np.full(len(images), mean) for mean, _ in vars(self.norms).values())
        return self.population(0).expected(images, np.arange(len(images)), TrialBehavior(*means))

    @property
    def norms(self) -> Norms:
        """Mean and s.d. of the animal's behaviour."""
        return reference_behavior(self.config.behavior)[1]


@dataclass(frozen=True)
class TwinPopulation:
    """The cells of one day; see `Population`. ``cell_id`` are rows of the network's file."""

    animal: TwinAnimal
    cell_id: npt.NDArray[np.int64]
    places: Places
    fano: Floats

    @property
    def evaluations(self) -> int:
        """Images in states that may be computed for S and V; 0 without eye and behaviour."""
        network = self.animal.network
        return 2560 if network.has_behavior or network.has_eye else 0

    def expected(self, images: Float32s, rows: npt.NDArray[np.int64], behavior: TrialBehavior) -> Float32s:
        """Return the network's expectation (T, N); without eye and behaviour each image is computed once."""
        if self.evaluations:
            return self._in_batches(images, rows, behavior)
        shown, back = np.unique(rows, return_inverse=True)
        return self._in_batches(images, shown, None)[back]

    def _in_batches(
        self, images: Float32s, rows: npt.NDArray[np.int64], behavior: TrialBehavior | None
    ) -> Float32s:
        config, network = self.animal.config, self.animal.network
        state, center = (None, None) if behavior is None else _inputs(behavior, self.animal.norms)
        out = np.empty((len(rows), len(self.cell_id)), dtype=np.float32)
        for a in range(0, len(rows), BATCH):
            part = slice(a, a + BATCH)
            grey = torch.from_numpy(images[rows[part]])[:, None]
            features = network.features(
                (grey - config.mean_grey) / config.contrast_grey, None if state is None else state[part]
            )
            shift = None if center is None else network.shift(center[part])
            out[part] = network.readout(features, self.cell_id, shift).numpy()
        return out

    def gain(self, behavior: TrialBehavior) -> Float32s:
        """Return ones (T, N): no factor of behaviour stands apart in the network."""
        return np.ones((len(behavior.pupil), len(self.cell_id)), dtype=np.float32)

    def shift_px(self, behavior: TrialBehavior) -> Float32s:
        """Return the shifter's output (T, 2) in px of the image; zeros without one."""
        height, width = self.animal.network.map_size
        shift = self.animal.network.shift(_inputs(behavior, self.animal.norms)[1]).numpy()
        px: Float32s = (shift * np.array([(width - 1) / 2, (height - 1) / 2])).astype(np.float32)
        return px

    def describe(self) -> pl.DataFrame:
        """Return what is known of the cells: identity, kind and noise."""
        return pl.DataFrame({"cell_id": self.cell_id, "fano": self.fano}).with_columns(
            pl.lit("network").alias("kind")
        )

    def filters(self) -> tuple[Float32s, Float32s]:
        """Return no filters and no best images: a network has none in closed form."""
        return np.zeros((0, 2, HEIGHT, WIDTH), np.float32), np.zeros((0, HEIGHT, WIDTH), np.float32)


def _inputs(behavior: TrialBehavior, norms: Norms) -> tuple[torch.Tensor, torch.Tensor]:
    """Return behaviour (T, 3) divided by its s.d. and the z-scored pupil centre (T, 2)."""
    state = np.stack(
        [
            behavior.pupil / norms.pupil[1],
            behavior.dpupil / norms.dpupil[1],
            behavior.running / norms.running[1],
        ],
        axis=1,
    )
    center = np.stack(
        [
            (behavior.center_x - norms.center_x[0]) / norms.center_x[1],
            (behavior.center_y - norms.center_y[0]) / norms.center_y[1],
        ],
        axis=1,
    )
    return torch.from_numpy(state.astype(np.float32)), torch.from_numpy(center.astype(np.float32))


def _nowhere() -> Places:
    return Places(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))

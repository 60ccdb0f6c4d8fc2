"""A digital mouse with V1-like cells whose best images are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.animals.behavior import BehaviorConfig, Norms, TrialBehavior, reference_behavior
from inception_loop.animals.cells import HEIGHT, WIDTH, Cells, quadrature, shift_images
from inception_loop.animals.cortex import CortexConfig, Places, later_day, place_cells
from inception_loop.animals.day import record_day
from inception_loop.animals.population import Float32s, Floats
from inception_loop.animals.reference_images import reference_images
from inception_loop.animals.rig import RigConfig
from inception_loop.animals.session import Session
from inception_loop.animals.truth import PARAMETERS, Truth
from inception_loop.artifacts.identity import Config
from inception_loop.recordings.recording import Recording, ScanKey

CHUNK = 512  # images at a time
REFERENCE_STATES = 24


class SimulatedConfig(Config):
    """A simulated animal. Lengths in px of the 36×64 image that it sees."""

    type: Literal["simulated"] = "simulated"
    animal_id: int = Field(default=1, ge=0, description="Number of the animal.")
    seed: int = Field(default=1, ge=0, description="Seed of cells, places, days and noise.")
    n_units: int = Field(default=420, ge=4, description="Cells found on the first day.")
    unresponsive: float = Field(default=0.15, ge=0, lt=1, description="Share of cells that ignore the image.")
    pure_simple: float = Field(default=0.2, ge=0, lt=1, description="Share of cells of complexity 0.")
    pure_complex: float = Field(default=0.2, ge=0, lt=1, description="Share of cells of complexity 1.")
    rf_x: tuple[float, float] = Field(
        default=(12.0, 51.0), description="Range of receptive-field centres, px."
    )
    rf_y: tuple[float, float] = Field(
        default=(11.5, 23.5), description="Range of receptive-field centres, px."
    )
    wavelength: tuple[float, float] = Field(
        default=(7.5, 13.0), description="Range of the filters' period, px."
    )
    sigma_per_wavelength: tuple[float, float] = Field(
        default=(0.3, 0.4), description="Range of the envelope's s.d. over the period."
    )
    threshold: float = Field(
        default=0.3, description="Threshold of the rectifier in s.d. of the filter's output."
    )
    softness: float = Field(default=0.3, gt=0, description="Softness of the rectifier in the same s.d.")
    mean_grey: float = Field(default=128.0, ge=0, le=255, description="Grey level of zero contrast.")
    contrast_grey: float = Field(default=50.0, gt=0, description="Grey levels of one unit of contrast.")
    baseline: tuple[float, float] = Field(
        default=(0.1, 0.4),
        description="Range of the response to grey in s.d. of the drive over natural images.",
    )
    scale: tuple[float, float] = Field(
        default=(0.6, 1.6), description="Range of the drive's s.d., response units."
    )
    snr: tuple[float, float] = Field(
        default=(0.6, 1.6), description="Range of S/V aimed at over natural images; V holds gain and eye too."
    )
    least_fano: float = Field(
        default=0.05, gt=0, description="Least trial-noise variance over the mean response."
    )
    gain_pupil: tuple[float, float] = Field(
        default=(0.16, 0.06), description="Mean and s.d. over cells of the log gain, per s.d. of the pupil."
    )
    gain_running: tuple[float, float] = Field(
        default=(0.1, 0.05), description="Mean and s.d. over cells of the log gain, per s.d. of running."
    )
    shift_px: tuple[float, float] = Field(
        default=(1.0, 0.7), description="S.d. of the eye's shift (x, y), px."
    )
    shift_limit_px: float = Field(default=3.5, gt=0, description="Largest shift per axis (tanh), px.")
    rig: RigConfig = RigConfig()
    behavior: BehaviorConfig = BehaviorConfig()
    cortex: CortexConfig = CortexConfig()


class SimulatedAnimal:
    """The animal of a configuration; nothing else enters.

    Examples
    --------
    >>> from inception_loop.animals.session import NaturalSessionConfig, natural_session
    >>> animal = SimulatedAnimal(SimulatedConfig(n_units=20))
    >>> session = natural_session(NaturalSessionConfig(n_train=10, n_repeated=2, repeats=2))
    >>> recording, truth = animal.record(session, day=0)
    >>> recording.trials.height, truth.expected.shape
    (14, (14, 20))
    """

    def __init__(self, config: SimulatedConfig) -> None:
        self.config = config

    @cached_property
    def cells(self) -> Cells:
        """The cells of day 0, in ascending unit id."""
        return _make_cells(self.config, 0)

    @cached_property
    def places(self) -> Places:
        """Where the cells of day 0 lie."""
        return place_cells(
            self.config.n_units, self.config.cortex, np.random.default_rng([self.config.seed, 1])
        )

    def population(self, day: int) -> SimulatedPopulation:
        """Return the cells that a scan finds on a day (0 = first), in ascending cell id."""
        if day == 0:
            return SimulatedPopulation(self.config, self.cells, self.places)
        config, seed = self.config, self.config.seed
        kept, moved = later_day(self.places, config.cortex, seed, day)
        rng = np.random.default_rng([seed, day, 2])
        fresh = place_cells(round(config.cortex.new * config.n_units), config.cortex, rng, taken=moved)
        born = _make_cells(self.config, day).take(np.arange(len(fresh.field)))
        return SimulatedPopulation(self.config, self.cells.take(kept).join(born), moved.join(fresh))

    def record(self, session: Session, day: int, scan: ScanKey | None = None) -> tuple[Recording, Truth]:
        """Record a session on a day: 0 the first, 1, 2, … later ones with jittered, missing and new cells."""
        return record_day(self.population(day), self.config, session, day, scan)

    def respond(self, images: Float32s) -> Float32s:
        """Return noise-free responses (K, n_units) to images (K, 36, 64) in grey levels.

        The eye looks straight ahead and behaviour scales nothing; cells of day 0 in ascending unit id.
        """
        return self.population(0).respond(images)

    def maximum(self, norm: float) -> Floats:
        """Return the largest response (n_units,) over images at the L2 distance ``norm`` from grey.

        ``norm`` is in grey levels. ``mean grey + norm · best_image`` attains it; the range 0..255 of a
        monitor is not considered.
        """
        return self.cells.maximum(norm / self.config.contrast_grey)


@dataclass(frozen=True)
class SimulatedPopulation:
    """The cells of one day; see `Population`."""

    config: SimulatedConfig
    cells: Cells
    places: Places
    evaluations: int = 16_000

    @property
    def cell_id(self) -> npt.NDArray[np.int64]:
        """(N,) identity over days."""
        return self.cells.cell_id

    @property
    def fano(self) -> Floats:
        """(N,) noise variance over mean."""
        return self.cells.fano

    def respond(self, images: Float32s) -> Float32s:
        """Return baseline + drive (K, N) for images (K, 36, 64) in grey levels."""
        contrast = (images.astype(np.float32) - self.config.mean_grey) / self.config.contrast_grey
        return self.cells.response(contrast.reshape(len(images), -1))

    def expected(self, images: Float32s, rows: npt.NDArray[np.int64], behavior: TrialBehavior) -> Float32s:
        """Return gain × response to the image as the shifted receptive fields see it, (T, N)."""
        gain, shift = self.gain(behavior), self.shift_px(behavior)
        for a in range(0, len(rows), CHUNK):
            part = slice(a, a + CHUNK)
            gain[part] *= self.respond(shift_images(images[rows[part]], shift[part].astype(np.float64)))
        return gain

    def gain(self, behavior: TrialBehavior) -> Float32s:
        """Return the factor (T, N) on the whole response."""
        gain: Float32s = np.exp(_log_gain(self.cells, behavior, self._norms)).astype(np.float32)
        return gain

    def shift_px(self, behavior: TrialBehavior) -> Float32s:
        """Return the shift (T, 2) of the receptive fields, px: a saturating map of the pupil's centre."""
        return _shift(self.config, behavior, self._norms)

    @property
    def _norms(self) -> Norms:
        return reference_behavior(self.config.behavior)[1]

    def describe(self) -> pl.DataFrame:
        """Return the cells' parameters, one row each."""
        kind = pl.Series("kind", self.cells.kind.tolist(), dtype=pl.String)
        return pl.DataFrame({name: getattr(self.cells, name) for name in PARAMETERS}).insert_column(1, kind)

    def filters(self) -> tuple[Float32s, Float32s]:
        """Return filters (N, 2, 36, 64) and best images (N, 36, 64)."""
        n = len(self.cells)
        driven = (self.cells.kind != "unresponsive")[:, None]
        even = np.where(driven, self.cells.even, 0).astype(np.float32)
        odd = np.where(driven & (self.cells.complex > 0)[:, None], self.cells.odd, 0).astype(np.float32)
        pair = np.stack([even, odd], axis=1).reshape(n, 2, HEIGHT, WIDTH)
        return pair, even.reshape(n, HEIGHT, WIDTH)


def _log_gain(cells: Cells, behavior: TrialBehavior, norms: Norms) -> Floats:
    pupil = (behavior.pupil - norms.pupil[0]) / norms.pupil[1]
    running = behavior.running / norms.running[1]
    return np.asarray(
        pupil[:, None] * cells.gain_pupil + running[:, None] * cells.gain_running + cells.log_gain,
        dtype=np.float64,
    )


def _shift(config: SimulatedConfig, behavior: TrialBehavior, norms: Norms) -> Float32s:
    x = (behavior.center_x - norms.center_x[0]) / norms.center_x[1]
    y = (behavior.center_y - norms.center_y[0]) / norms.center_y[1]
    sd = config.shift_px
    mixed = np.stack([sd[0] * (0.98 * x - 0.2 * y), sd[1] * (0.2 * x + 0.98 * y)], axis=1)
    limit = config.shift_limit_px
    shift: Float32s = (limit * np.tanh(mixed / limit)).astype(np.float32)
    return shift


def _make_cells(config: SimulatedConfig, day: int) -> Cells:
    """Make the cells of day 0, or as many strangers for a later day (their ids follow on from all before)."""
    rng = np.random.default_rng([config.seed, day, 3])
    n = config.n_units
    kind, complexity = _complexity(config, rng)
    shape = {
        "rf_x": rng.uniform(*config.rf_x, n),
        "rf_y": rng.uniform(*config.rf_y, n),
        "wavelength": rng.uniform(*config.wavelength, n),
        "orientation": rng.uniform(0, np.pi, n),
        "phase": rng.uniform(0, 2 * np.pi, n),
    }
    shape["sigma"] = shape["wavelength"] * rng.uniform(*config.sigma_per_wavelength, n)
    even, odd = quadrature(**shape)
    zero = np.zeros(n)
    cells = Cells(
        cell_id=np.arange(n, dtype=np.int64) + day * n,
        kind=kind,
        complexity=complexity,
        **shape,
        even=even,
        odd=odd,
        baseline=zero,
        simple=np.where(kind == "unresponsive", 0, 1 - np.nan_to_num(complexity)),
        complex=np.nan_to_num(complexity),
        threshold=np.full(n, config.threshold),
        softness=np.full(n, config.softness),
        fano=zero + 1,
        gain_pupil=rng.normal(*config.gain_pupil, n),
        gain_running=rng.normal(*config.gain_running, n),
        log_gain=zero,
    )
    return _calibrated(cells, config, rng)


def _complexity(config: SimulatedConfig, rng: np.random.Generator) -> tuple[npt.NDArray[np.str_], Floats]:
    n = config.n_units
    shares = (config.unresponsive, config.pure_simple, config.pure_complex)
    counts = [round(share * n) for share in shares]
    kind = np.repeat(["unresponsive", "simple", "complex", "mixed"], [*counts, n - sum(counts)])
    value = np.select([kind == "unresponsive", kind == "simple", kind == "complex"], [np.nan, 0.0, 1.0], -1.0)
    value = np.where(value < 0, rng.uniform(0.02, 0.98, n), value)
    order = rng.permutation(n)
    return kind[order], value[order]


def _calibrated(cells: Cells, config: SimulatedConfig, rng: np.random.Generator) -> Cells:
    """Scale drives and noise over natural images and typical behaviour."""
    n = len(cells)
    grey = reference_images()
    contrast = ((grey - config.mean_grey) / config.contrast_grey).reshape(len(grey), -1)
    e, o = contrast @ cells.even.T, contrast @ cells.odd.T
    sd = e.std(axis=0)
    cells = replace(cells, threshold=cells.threshold * sd, softness=cells.softness * sd)
    parts = [
        replace(cells, simple=simple, complex=complex_).read(e, np.hypot(e, o)).std(axis=0)
        for simple, complex_ in ((np.ones(n), np.zeros(n)), (np.zeros(n), np.ones(n)))
    ]
    cells = replace(cells, simple=cells.simple / parts[0], complex=cells.complex / parts[1])
    scale = rng.uniform(*config.scale, n)
    spread = cells.read(e, np.hypot(e, o)).std(axis=0)
    factor = np.divide(scale, spread, out=np.zeros(n), where=spread > 0)
    behavior, norms = reference_behavior(config.behavior)
    cells = replace(
        cells,
        simple=cells.simple * factor,
        complex=cells.complex * factor,
        baseline=np.where(spread > 0, rng.uniform(*config.baseline, n) * scale, scale),
        log_gain=-np.log(np.exp(_log_gain(cells, behavior, norms)).mean(axis=0)),
    )
    return replace(cells, fano=_fano(cells, config, rng))


def _fano(cells: Cells, config: SimulatedConfig, rng: np.random.Generator) -> Floats:
    population = SimulatedPopulation(config, cells, Places(np.zeros((0, 3)), np.zeros(0, dtype=np.int64)))
    grey = reference_images()
    behavior, _ = reference_behavior(config.behavior)
    states = behavior.take(np.arange(REFERENCE_STATES) * (len(behavior.pupil) // REFERENCE_STATES))
    total, square, within = (np.zeros(len(cells)) for _ in range(3))
    for row in range(len(grey)):
        response = population.expected(grey, np.full(REFERENCE_STATES, row), states).astype(np.float64)
        total += response.mean(axis=0) / len(grey)
        square += response.mean(axis=0) ** 2 / len(grey)
        within += response.var(axis=0, ddof=1) / len(grey)
    wanted = (square - total**2) / rng.uniform(*config.snr, len(cells))
    driven = np.maximum((wanted - within) / total, config.least_fano)
    return np.where(cells.kind == "unresponsive", total, driven)

"""Making simulated cells: their draw, and the scaling of drives and noise over natural images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inception_loop.animals.behavior import reference_behavior
from inception_loop.animals.cells import Cells, quadrature
from inception_loop.animals.cortex import Places
from inception_loop.animals.population import Floats
from inception_loop.animals.reference_images import reference_images
from inception_loop.animals.simulated_config import SimulatedConfig
from inception_loop.animals.simulated_population import SimulatedPopulation, log_gain

REFERENCE_STATES = 24


def make_cells(config: SimulatedConfig, day: int) -> Cells:
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
        log_gain=-np.log(np.exp(log_gain(cells, behavior, norms)).mean(axis=0)),
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

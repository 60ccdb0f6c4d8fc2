"""What the rig asks of an animal, and the variances that follow from the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.animals.behavior import TrialBehavior
from inception_loop.animals.cortex import Places
from inception_loop.animals.session import Session

Float32s = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
FEWEST_STATES = 32  # states of eye and behaviour over which an image's mean is taken at the least
IMAGES_WITHOUT_REPEATS = 64  # images over which S and V are meant where none is repeated


class Population(Protocol):
    """The cells of an animal that a scan finds on one day, N of them, in an order of its own."""

    @property
    def cell_id(self) -> npt.NDArray[np.int64]:
        """(N,) identity of each cell over days."""

    @property
    def places(self) -> Places:
        """Where the cells lie on this day."""

    @property
    def fano(self) -> Floats:
        """(N,) variance of the trial noise over the conditional mean."""

    @property
    def evaluations(self) -> int:
        """Images in states of eye and behaviour that may be computed for S and V; 0: no state matters."""

    def expected(self, images: Float32s, rows: npt.NDArray[np.int64], behavior: TrialBehavior) -> Float32s:
        """Return the conditional mean (T, N): trial t shows ``images[rows[t]]``, (K, 36, 64) grey levels."""

    def gain(self, behavior: TrialBehavior) -> Float32s:
        """Return the factor (T, N) by which behaviour scales the whole response."""

    def shift_px(self, behavior: TrialBehavior) -> Float32s:
        """Return the displacement (T, 2) of the receptive fields, px."""

    def describe(self) -> pl.DataFrame:
        """Return the true parameters of the cells, one row each, less S and V."""

    def filters(self) -> tuple[Float32s, Float32s]:
        """Return filters (N or 0, 2, 36, 64) and best images (N or 0, 36, 64)."""


@dataclass(frozen=True)
class Moments:
    """Signal and noise variance (N,) over some images, and these images' means.

    Attributes
    ----------
    condition_rows : (I,) rows of the session's conditions
    image_mean : (I, N) mean response to each image over eye and behaviour
    signal, noise : (N,)
    """

    condition_rows: npt.NDArray[np.int64]
    image_mean: Float32s
    signal: Floats
    noise: Floats


def add_noise(expected: Float32s, fano: Floats, rng: np.random.Generator) -> Float32s:
    """Draw responses around conditional means: Gamma with variance ``fano · mean``, never negative.

    Parameters
    ----------
    expected : (T, N) float32, positive
    fano : (N,) float64
    """
    shape = (expected / fano.astype(np.float32)).astype(np.float32)
    drawn: Float32s = rng.standard_gamma(np.maximum(shape, 1e-6), dtype=np.float32)
    return drawn * fano.astype(np.float32)


def image_moments(
    population: Population, images: Float32s, rows: npt.NDArray[np.int64], behavior: TrialBehavior
) -> tuple[Float32s, Floats, Floats]:
    """Return (image_mean, signal, noise) over ``images[rows]``, each met in all states of ``behavior``.

    The variance that the finite number of states adds to the means over them is taken off ``signal``.
    """
    n_states = len(behavior.pupil)
    mean = np.empty((len(rows), len(population.cell_id)), dtype=np.float32)
    within = np.zeros(mean.shape[1])
    state_mean = np.zeros((n_states, mean.shape[1]))
    for i, row in enumerate(rows):
        response = population.expected(images, np.full(n_states, row), behavior).astype(np.float64)
        mean[i] = response.mean(axis=0)
        within += response.var(axis=0, ddof=int(n_states > 1)) / len(rows)
        state_mean += response / len(rows)
    signal = mean.astype(np.float64).var(axis=0, ddof=1) if len(rows) > 1 else np.zeros(mean.shape[1])
    if n_states > 1:
        signal = np.maximum(signal - (within - state_mean.var(axis=0, ddof=1)) / n_states, 0)
    return mean, signal, within + population.fano * mean.mean(axis=0)


def session_moments(
    population: Population,
    session: Session,
    images: Float32s,
    behavior: TrialBehavior,
    rng: np.random.Generator,
) -> Moments:
    """Return the variances over a session's repeated images, or over some where none is repeated.

    The states of eye and behaviour are those of the trials that show these images; if they are too many,
    evenly spaced ones of them.
    """
    rows = session.repeated()
    if not len(rows):
        shown = np.unique(session.order)
        rows = np.sort(rng.choice(shown, size=min(IMAGES_WITHOUT_REPEATS, len(shown)), replace=False))
    trials = np.flatnonzero(np.isin(session.order, rows))
    most = max(FEWEST_STATES, population.evaluations // len(rows)) if population.evaluations else 1
    chosen = np.linspace(0, len(trials) - 1, min(most, len(trials))).round().astype(np.int64)
    image_row = session.conditions["image_row"].to_numpy()
    moments = image_moments(population, images, image_row[rows], behavior.take(trials[chosen]))
    return Moments(rows, *moments)

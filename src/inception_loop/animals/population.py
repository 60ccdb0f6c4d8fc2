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
STATES = 64  # states of eye and behaviour over which an image's mean is taken
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
    def modulated(self) -> bool:
        """Whether eye or behaviour change the response."""

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
    population: Population,
    images: Float32s,
    rows: npt.NDArray[np.int64],
    behavior: TrialBehavior,
    rng: np.random.Generator,
) -> tuple[Float32s, Floats, Floats]:
    """Return (image_mean, signal, noise) over ``images[rows]`` in the states of ``behavior``.

    Every image is met in the same ``STATES`` states drawn from the trials. The variance that their finite
    number adds to the means over states is taken off, so ``signal`` has no bias.
    """
    n_states = STATES if population.modulated else 1
    states = behavior.take(
        rng.choice(len(behavior.pupil), size=n_states, replace=len(behavior.pupil) < n_states)
    )
    mean = np.empty((len(rows), len(population.cell_id)), dtype=np.float32)
    within = np.zeros(mean.shape[1])
    state_mean = np.zeros((n_states, mean.shape[1]))
    for i, row in enumerate(rows):
        response = population.expected(images, np.full(n_states, row), states).astype(np.float64)
        mean[i] = response.mean(axis=0)
        within += response.var(axis=0, ddof=1 if n_states > 1 else 0) / len(rows)
        state_mean += response / len(rows)
    signal = mean.astype(np.float64).var(axis=0, ddof=1) if len(rows) > 1 else np.zeros(mean.shape[1])
    if n_states > 1:
        signal = np.maximum(signal - (within - state_mean.var(axis=0, ddof=1)) / n_states, 0)
    noise = within + population.fano * mean.mean(axis=0)
    return mean, signal, noise


def session_moments(
    population: Population,
    session: Session,
    images: Float32s,
    behavior: TrialBehavior,
    rng: np.random.Generator,
) -> Moments:
    """Return the variances over a session's repeated images, or over some where none is repeated."""
    rows = session.repeated()
    if not len(rows):
        shown = np.unique(session.order)
        rows = np.sort(rng.choice(shown, size=min(IMAGES_WITHOUT_REPEATS, len(shown)), replace=False))
    image_row = session.conditions["image_row"].to_numpy()
    mean, signal, noise = image_moments(population, images, image_row[rows], behavior, rng)
    return Moments(rows, mean, signal, noise)

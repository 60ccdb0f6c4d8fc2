"""A small simulated animal, its truth, and a member that reads out some of its cells in its own order."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig


@pytest.fixture(scope="session")
def animal():
    return SimulatedAnimal(SimulatedConfig(n_units=60, seed=5))


@pytest.fixture(scope="session")
def truth(animal):
    session = natural_session(
        NaturalSessionConfig(n_train=40, n_repeated=6, repeats=5, height=36, width=64, seed=5)
    )
    return animal.record(session, 0)[1]


@pytest.fixture(scope="session")
def member(truth):
    """Two thirds of the units and of the trials, both in random order; half of the trials are test trials."""
    rng = np.random.default_rng(0)
    columns = rng.permutation(truth.units.height)[:40]
    rows = rng.permutation(len(truth.trial_idx))[:45]
    tier = np.array(["test", "train", "train"])[np.arange(45) % 3]
    repeated = np.array([f"image {number}" for number in np.arange(45) // 3 % 3])
    return SimpleNamespace(
        name="a",
        rows=rows,
        columns=columns,
        trial_idx=truth.trial_idx[rows],
        units=pl.DataFrame({"unit_id": truth.units["unit_id"].to_numpy()[columns]}),
        responses=truth.expected[np.ix_(rows, columns)] + rng.normal(0, 0.3, (45, 40)).astype(np.float32),
        tier=tier,
        condition_hash=repeated,
        trials_of=lambda wanted: np.flatnonzero(tier == wanted),
    )

"""A recorded day of a small simulated animal, taken through the dataset stage."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
from inception_loop.animals.truth import Truth
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.stage import make_dataset
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.recording import ScanKey


class DayConfig(Config):
    """Configuration of a recording made in a test."""

    scan: ScanKey


@dataclass(frozen=True)
class Day:
    """A store with the dataset of one recorded day, and the truth about it."""

    store: ArtifactStore
    dataset: ArtifactRef
    name: str
    truth: Truth


@pytest.fixture(scope="session")
def day():
    store = open_store("memory://selection-tests")
    session = natural_session(NaturalSessionConfig(n_train=80, n_repeated=24, repeats=8))
    recording, truth = SimulatedAnimal(SimulatedConfig(n_units=120)).record(session, 0)
    config = DayConfig(scan=recording.scan)
    ref = store.make(RECORDING, config, lambda attempt: save_recording(attempt, recording)).ref
    made = make_dataset(store, DatasetConfig(group_id=5), [ref])
    dataset = made["static_multi_dataset"][0].ref
    return Day(store, dataset, store.table(dataset, "members")["name"].item(), truth)

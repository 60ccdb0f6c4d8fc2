from __future__ import annotations

import numpy as np
import pytest
import torch

from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.stage import make_dataset
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.recordings.recording import ScanKey
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.model import make_model
from inception_loop.training.scan_data import ScanData


def network_config(*, linear: bool = False, **changes) -> CorePlusReadout:
    core = StackedLinearGaussianLaplace if linear else GaussianLaplace
    return CorePlusReadout(
        core=core(hidden_channels=4, input_kern=5, hidden_kern=3, layers=2, gamma_input=1, gamma_hidden=0.01),
        readout=SpatialTransformerPyramid2d(scale_n=1, downsample=False, gamma_features=0.1),
        gain="after",
        **changes,
    )


def toy_scan(name: str = "a", trials: int = 240, units: int = 3, seed: int = 0) -> ScanData:
    """Linear-nonlinear cells with known places, shifted by the eye and scaled by behaviour, no noise."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(trials, 14, 18)).astype(np.float32)
    eye, behavior = rng.normal(size=(trials, 2)), rng.normal(size=(trials, 3))
    y, x = np.mgrid[:14, :18]
    responses = np.empty((trials, units), np.float32)
    for unit, (cx, cy) in enumerate(toy_centers(units)):
        filters = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 2)
        drive = (images * filters / np.linalg.norm(filters)).sum((1, 2))
        responses[:, unit] = np.logaddexp(0, 2 * drive) * np.exp(0.3 * behavior[:, 0])
    tier = np.array((["train"] * 8 + ["validation", "test"]) * (trials // 10))
    return ScanData(
        name=name,
        images=torch.from_numpy(images)[:, None],
        image_row=torch.arange(trials),
        responses=torch.from_numpy(responses / responses.std(0)),
        eye=torch.from_numpy(eye.astype(np.float32)),
        behavior=torch.from_numpy(behavior.astype(np.float32)),
        tier=tier,
    )


def toy_centers(units: int) -> list[tuple[float, float]]:
    return [(6.0, 6.0), (11.0, 7.0), (9.0, 8.0), (7.5, 5.5)][:units]


@pytest.fixture
def toy() -> ScanData:
    return toy_scan()


@pytest.fixture
def make_toy():
    return toy_scan


@pytest.fixture
def make_network_config():
    return network_config


@pytest.fixture
def centers():
    return toy_centers


@pytest.fixture
def brief() -> TrainConfig:
    return TrainConfig(batch_size=48, learning_rates=(0.01,), max_epoch=2, patience=5)


@pytest.fixture(scope="session")
def day_store():
    """A store with one small recorded day of an animal, its truth and its dataset."""
    store = open_store("memory://training-tests")
    scan = ScanKey(animal_id=1, session=1, scan_idx=1)
    session = NaturalSessionConfig(n_train=160, n_repeated=6, repeats=5)
    day = AnimalDayConfig(scan=scan, animal=SimulatedConfig(n_units=40), session=session)
    recording, truth = make_recorded_day(store, day)
    made = make_dataset(store, DatasetConfig(group_id=1), [recording.ref])
    return store, made["static_multi_dataset"][0].ref, truth.ref


@pytest.fixture(scope="session")
def model_config():
    """A model that trains in a second."""
    network = CorePlusReadout(
        core=GaussianLaplace(hidden_channels=4, input_kern=9, hidden_kern=3, layers=2),
        readout=SpatialTransformerPyramid2d(scale_n=1, downsample=False),
        gain="after",
    )
    train = TrainConfig(batch_size=50, learning_rates=(0.01,), max_epoch=2, start_positions="responses")
    return ModelConfig(group_id=1, network=network, train=train, seed=1)


@pytest.fixture(scope="session")
def trained(day_store, model_config):
    """Two seeds of one configuration."""
    store, dataset, _ = day_store
    second = model_config.model_copy(update={"seed": 2})
    return [make_model(store, config, dataset=dataset).ref for config in (model_config, second)]

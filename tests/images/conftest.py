"""Cells whose best image is known in closed form, as callables of grey pixels."""

from __future__ import annotations

import uuid

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.frame import FRAME
from inception_loop.dataset.multi_dataset import STATIC_MULTI_DATASET
from inception_loop.images.network import CallableModel, Networks, TrainedEnsemble
from inception_loop.pictures.gabor import gabor
from inception_loop.recordings.recording import ScanKey
from inception_loop.training.model import MODEL

HEIGHT, WIDTH = 36, 64
MEAN, STD = 110.0, 50.0


def unit_filters(n: int, phase: float) -> torch.Tensor:
    """(n, 36, 64) float32 Gabors of many places and shapes, zero mean, unit norm."""
    rng = np.random.default_rng(5)
    patches = [
        gabor(
            HEIGHT,
            WIDTH,
            center_x=rng.uniform(18, 46),
            center_y=rng.uniform(12, 24),
            wavelength=rng.uniform(6, 10),
            orientation=rng.uniform(0, np.pi),
            phase=phase,
            sigma=rng.uniform(2.5, 4),
        )
        for _ in range(n)
    ]
    filters = torch.tensor(np.stack(patches), dtype=torch.float32)
    filters -= filters.mean((1, 2), keepdim=True)
    return filters / filters.square().sum((1, 2), keepdim=True).sqrt()


def project(images: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """⟨image b, filter b⟩, summed pixel by pixel so that no neighbour in the batch matters."""
    return (images * filters).sum((1, 2))


def model_of(drive) -> CallableModel:
    """An adjusted model whose activation is ``drive(pixels (B,H,W), units (B,)) -> (B,)``."""

    def full(pixels, units):
        columns = [drive(pixels, unit.expand(len(pixels))) for unit in units]
        return torch.stack(columns, 1)

    return CallableModel(full, MEAN, STD, (HEIGHT, WIDTH), paired_units=drive)


@pytest.fixture(scope="session")
def even():
    return unit_filters(40, 0.0)


@pytest.fixture(scope="session")
def odd():
    return unit_filters(40, -np.pi / 2)


@pytest.fixture(scope="session")
def linear_cells(even):
    return model_of(lambda x, u: project(x, even[u]))


@pytest.fixture(scope="session")
def ln_cells(even):
    """Linear–nonlinear cells: soft rectifier of the contrast along the filter."""
    return model_of(lambda x, u: torch.nn.functional.softplus(project(x - MEAN, even[u]) / 50))


@pytest.fixture(scope="session")
def energy_cells(even, odd):
    """Complex cells: energy in a quadrature pair made exactly orthonormal."""
    overlap = (even * odd).sum((1, 2), keepdim=True)
    sine = odd - overlap * even
    sine = sine / sine.square().sum((1, 2), keepdim=True).sqrt()
    return model_of(lambda x, u: project(x, even[u]) ** 2 + project(x, sine[u]) ** 2)


@pytest.fixture
def noise():
    generator = torch.Generator().manual_seed(11)

    def draw(n: int, std: float = 8.0) -> torch.Tensor:
        return MEAN + std * torch.randn(n, HEIGHT, WIDTH, generator=generator)

    return draw


def cosine(images: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    delta = images - images.mean((1, 2), keepdim=True)
    return torch.nn.functional.cosine_similarity(delta.flatten(1), filters.flatten(1))


@pytest.fixture(name="cosine")
def _cosine():
    return cosine


class StubModelConfig(Config):
    group_id: int = 0
    seed: int = 0


def empty_table(kind, name):
    columns = kind.payloads[name].columns
    return pa.table({key: pa.array([], column.type) for key, column in columns.items()})


@pytest.fixture(name="empty_table")
def _empty_table():
    return empty_table


@pytest.fixture
def make_world():
    """Function that opens a new store with two artifacts of the kind model; nothing is read from these."""

    def build(attempt):
        attempt.write_arrays("weights", {"w": np.zeros(1, np.float32)})
        for name in ("history", "inputs"):
            attempt.write_table(name, empty_table(MODEL, name))

    def make():
        store = open_store(f"memory://{uuid.uuid4().hex}")
        return store, [store.make(MODEL, StubModelConfig(seed=seed), build).ref for seed in (1, 2)]

    return make


@pytest.fixture
def world(make_world):
    return make_world()


@pytest.fixture
def store(world):
    return world[0]


@pytest.fixture
def models(world):
    return world[1]


@pytest.fixture(name="model_of")
def _model_of():
    return model_of


@pytest.fixture
def loader():
    """A function like `load_ensemble` that hands out a given model and counts its calls."""

    def of(model):
        calls = []

        def load(name, *, eye, behavior, precision):
            calls.append((name, eye, behavior, precision))
            return model

        load.calls = calls
        return load

    return of


@pytest.fixture
def networks(loader):
    """Function that makes `Networks` of callables: an ensemble that images are made for, and a validator."""

    def of(models, model, validator=None):
        own = TrainedEnsemble(tuple(models), loader(model))
        if validator is None:
            return Networks(own)
        return Networks(own, validator=TrainedEnsemble(tuple(models[:1]), loader(validator)))

    return of


@pytest.fixture
def target():
    """Fields of a `TargetConfig` for units 3, 1 and 17 of the readout, whose unit ids are 100 more."""
    units = [{"neuron_id": n, "unit_id": 100 + n} for n in (3, 1, 17)]
    return {"group_id": 0, "name": "group000-1-1-1", "units": units}


class StubScanConfig(Config):
    group_id: int = 0
    scan: ScanKey = ScanKey(animal_id=1, session=1, scan_idx=1)


@pytest.fixture
def dataset_of(store):
    """Function that makes a dataset whose trials show 30 of 40 frames, every third in tier train."""

    def make(frames):
        n = len(frames)

        def build_frame(attempt):
            attempt.write_arrays("frames", {"frames": frames})
            conditions = {
                "condition_hash": [f"c{k:02d}" for k in range(n)],
                "image_class": ["natural" if k % 2 else "gabor" for k in range(n)],
                "image_id": np.arange(n),
                "source_id": [f"photo{k // 2}" for k in range(n)],
            }
            attempt.write_table("conditions", pl.DataFrame(conditions))

        frame = store.make(FRAME, StubScanConfig(), build_frame).ref
        rows = np.random.default_rng(1).permutation(n)[:30].repeat(2)
        trials = {
            "name": ["group000-1-1-1"] * 60,
            "trial_idx": np.arange(60),
            "condition_hash": [f"c{k:02d}" for k in rows],
            "tier": ["train" if k % 3 == 0 else "test" for k in rows],
            "image_class": ["natural"] * 60,
            "used": [k != 33 for k in rows],
            "reason": [""] * 60,
            "imputed": [False] * 60,
            "frame_row": rows,
            "response_row": np.arange(60),
        }

        def build_dataset(attempt):
            declared = STATIC_MULTI_DATASET.payloads["members"].columns
            numbers = {c: [0] for c in declared if c.startswith(("n_", "animal", "session", "scan"))}
            members = {
                "name": ["group000-1-1-1"],
                **numbers,
                "has_eye": [True],
                "has_treadmill": [True],
                "lag1_leakage": [0.0],
            }
            attempt.write_table("members", pl.DataFrame(members))
            attempt.write_table("trials", pl.DataFrame(trials))
            attempt.write_table("units", empty_table(STATIC_MULTI_DATASET, "units"))

        ref = store.make(STATIC_MULTI_DATASET, StubScanConfig(), build_dataset, {"frame": [frame]}).ref
        return ref, sorted({int(k) for k in rows if k % 3 == 0 and k != 33})

    return make

"""Images with a known mean and contrast, and the kinds of a loop in a store in memory."""

from __future__ import annotations

import uuid

import numpy as np
import polars as pl
import pytest
import torch

from inception_loop.artifacts.store import open_store
from inception_loop.images.contrast import match_contrast
from inception_loop.stimuli.assembly import MadeImages
from inception_loop.stimuli.config import StimulusConfig

MEAN, CONTRAST = 110.0, 9.0


def pictures(n: int, seed: int = 0, height: int = 36, width: int = 64) -> np.ndarray:
    """(n, height, width) float32 smooth noise at the mean and contrast of the tests."""
    noise = np.random.default_rng(seed).normal(size=(n, height, width))
    smooth = sum(np.roll(noise, (dy, dx), (1, 2)) for dy in range(4) for dx in range(4))
    return match_contrast(torch.from_numpy(smooth), MEAN, CONTRAST).numpy().astype(np.float32)


def units_table(unit_ids, name="group000-1-1-1") -> pl.DataFrame:
    return pl.DataFrame({"name": name, "neuron_id": np.arange(len(unit_ids)), "unit_id": list(unit_ids)})


def made_images(unit_ids=(11, 7, 30), **changes) -> list[MadeImages]:
    units = units_table(unit_ids)
    natural = units.with_columns(source_id=pl.Series([f"photo{u}" for u in unit_ids]))
    n = len(unit_ids)
    return [
        MadeImages("multi_cnn_mei", "cnn", units, changes.get("mei", pictures(n, 1))),
        MadeImages("multi_lin_rf", "linear", units, changes.get("rf", pictures(n, 2))),
        MadeImages("unmasked_imgnet", "natural", natural, changes.get("natural", pictures(n, 3))),
    ]


@pytest.fixture
def make_pictures():
    return pictures


@pytest.fixture
def make_made():
    return made_images


@pytest.fixture
def config():
    return StimulusConfig(repeats=4)


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}")

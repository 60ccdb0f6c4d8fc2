"""Random loops at the level of tables: coordinates, responses, images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest


@dataclass(frozen=True)
class Scan:
    """A scan as the tables describe it, and the same responses as plain arrays."""

    responses: pl.DataFrame
    columns: pl.DataFrame
    excluded: pl.DataFrame
    values: np.ndarray
    shown: np.ndarray
    trial_idx: np.ndarray
    unit_ids: np.ndarray
    kept: np.ndarray


def scan_of(
    conditions, *, n_units=9, repeats=6, seed=0, offset=0.0, spread=1.0, dtype=np.float64, tuning=None
) -> Scan:
    """Responses = tuning of unit and condition + noise, trials shuffled, two of them excluded."""
    rng = np.random.default_rng(seed)
    unit_ids = rng.permutation(100 + np.arange(n_units))
    shown = rng.permutation(np.repeat(conditions, repeats))
    trial_idx = 1000 + 3 * np.arange(len(shown))
    values = rng.gamma(1.5, size=(len(shown), n_units))
    if tuning is not None:
        place = {c: i for i, c in enumerate(conditions)}
        values = values + tuning[[place[c] for c in shown]]
    values = (offset + spread * values).astype(dtype)
    inner = pl.Float32 if dtype == np.float32 else pl.Float64
    responses = pl.DataFrame({"trial_idx": trial_idx, "condition_hash": shown}).with_columns(
        pl.Series("response", values, dtype=pl.Array(inner, n_units))
    )
    excluded = trial_idx[[1, 5]]
    return Scan(
        responses.sample(fraction=1.0, shuffle=True, seed=seed),
        pl.DataFrame({"neuron_column": np.arange(n_units), "unit_id": unit_ids}),
        pl.DataFrame({"trial_idx": excluded, "reason": "by hand"}),
        values,
        shown,
        trial_idx,
        unit_ids,
        ~np.isin(trial_idx, excluded),
    )


def images_of(units=(1, 2, 3), model_types=("cnn", "linear", "natural")) -> pl.DataFrame:
    rows = [(f"{model}-{unit}", model, unit) for model in model_types for unit in units]
    return pl.DataFrame(rows, schema=["condition_hash", "model_type", "image_unit_id"], orient="row")


@pytest.fixture
def make_scan():
    return scan_of


@pytest.fixture
def make_images():
    return images_of


def coordinates_of(places: dict[int, np.ndarray], stacks=(1,), jitter=0.0, seed=0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (5, stack, 1, unit, *(place + jitter * rng.standard_normal(3)))
        for stack in stacks
        for unit, place in places.items()
    ]
    names = ["stack_session", "stack_idx", "field", "unit_id", "stack_x", "stack_y", "stack_z"]
    return pl.DataFrame(rows, schema=names, orient="row")


@pytest.fixture
def make_coordinates():
    return coordinates_of

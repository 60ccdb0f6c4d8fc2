"""The truth in the store."""

import uuid
from dataclasses import fields, replace

import numpy as np
import polars as pl
import polars.testing
import pytest

from inception_loop.animals.truth_archive import ANIMAL_TRUTH, load_truth, save_truth
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.store import open_store
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey


class SavedConfig(Config):
    """Configuration of a truth saved in a test."""

    scan: ScanKey = ScanKey(animal_id=1, session=1, scan_idx=1)


@pytest.fixture
def round_trip():
    store = open_store(f"memory://{uuid.uuid4().hex}")

    def run(truth):
        return load_truth(store, store.make(ANIMAL_TRUTH, SavedConfig(), lambda a: save_truth(a, truth)).ref)

    return run


def test_a_truth_comes_back_whole(day, round_trip):
    truth = day[1]
    loaded = round_trip(truth)
    for part in fields(truth):
        a, b = getattr(truth, part.name), getattr(loaded, part.name)
        if isinstance(a, pl.DataFrame):
            polars.testing.assert_frame_equal(a, b)
        else:
            np.testing.assert_array_equal(a, b)


def test_cells_rebuilt_from_the_store_answer_as_the_animal_does(day, animal, round_trip):
    cells = round_trip(day[1]).cells()
    images = np.random.default_rng(1).uniform(0, 255, (3, 36, 64)).astype(np.float32)
    contrast = ((images - 128) / 50).reshape(3, -1)
    np.testing.assert_allclose(cells.response(contrast), animal.respond(images), rtol=1e-5)
    np.testing.assert_allclose(cells.maximum(8.0), animal.maximum(400.0), rtol=1e-6)


def test_a_truth_without_filters_says_that_it_has_no_cells(day):
    empty = replace(day[1], filters=np.zeros((0, 2, 36, 64), np.float32))
    with pytest.raises(DataError, match="expected that of a simulated animal"):
        empty.cells()

"""Which images of the source scan are shown again."""

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import DataError
from inception_loop.stimuli.oracle import oracle_images

HASHES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def scan():
    conditions = pl.DataFrame(
        {
            "condition_hash": HASHES,
            "image_class": ["natural"] * 4 + ["blank"],
            "image_id": [0, 1, 2, 3, 0],
            "source_id": ["p"] * 5,
            "image_row": [4, 3, 2, 1, 0],
        }
    )
    shown = ["a"] * 5 + ["b"] * 8 + ["c"] * 4 + ["d"] * 5 + ["e"] * 9
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 4), np.uint8)
    return conditions, pl.DataFrame({"condition_hash": shown}), images


def test_natural_images_shown_often_enough_are_taken_byte_for_byte(scan):
    found = oracle_images(*scan, min_repeats=5)
    assert found.conditions["condition_hash"].to_list() == ["a", "b", "d"]
    assert found.images[:, 0, 0].tolist() == [4, 3, 1]


def test_at_most_so_many_the_most_repeated_first(scan):
    assert oracle_images(*scan, at_most=2).conditions["condition_hash"].to_list() == ["a", "b"]
    assert oracle_images(*scan, at_most=1).conditions["condition_hash"].to_list() == ["b"]


def test_a_scan_without_repeats_is_refused(scan):
    with pytest.raises(DataError, match="shown 10 times or more"):
        oracle_images(*scan, min_repeats=10)

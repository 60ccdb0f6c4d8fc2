"""Pixels are passed on as they lie, in the order asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import DataError
from inception_loop.recordings.condition import condition_hash
from inception_loop.stimuli import pixels as room
from inception_loop.stimuli.pixels import Pixels

PARTS = {name: np.random.default_rng(k).integers(0, 256, (5, 2, 3), np.uint8) for k, name in enumerate("ab")}


def pixels(places):
    part, row = np.array(places, np.int64).reshape(-1, 2).T
    return Pixels(PARTS, part, row)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=1), st.data())
def test_blocks_are_the_images_in_the_order_asked_for(places, data):
    wanted = data.draw(st.permutations(range(len(places))))
    before, room.AT_ONCE = room.AT_ONCE, 2
    try:
        found = pixels(places).blocks(np.array(wanted))
        pieces = list(found.blocks)
    finally:
        room.AT_ONCE = before
    assert max(map(len, pieces)) <= 2
    both = np.stack(list(PARTS.values()))
    assert np.array_equal(np.concatenate(pieces), np.stack([both[places[k]] for k in wanted]))
    assert found.shape == (len(places), 2, 3)


def test_hashes_are_those_of_the_images():
    assert pixels([(1, 4), (0, 2)]).hashes(0.5) == [
        condition_hash(PARTS["b"][4], 0.5),
        condition_hash(PARTS["a"][2], 0.5),
    ]


def test_images_of_several_sizes_are_refused():
    parts = PARTS | {"c": np.zeros((1, 4, 6), np.uint8)}
    with pytest.raises(DataError, match="c has images of 4×6 px, a of 2×3; expected one size"):
        Pixels(parts, np.zeros(1, np.int64), np.zeros(1, np.int64))

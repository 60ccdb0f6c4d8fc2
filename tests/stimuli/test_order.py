"""Laws of the trial order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.errors import ConfigurationError
from inception_loop.stimuli.order import blocked_order

SEEDS = st.integers(0, 2**32 - 1)


@given(st.integers(2, 40), st.integers(1, 12), SEEDS)
def test_every_block_shows_every_image_once(n_images, repeats, seed):
    order = blocked_order(n_images, repeats, seed)
    assert len(order.image) == n_images * repeats
    for block in range(repeats):
        assert sorted(order.image[order.block == block]) == list(range(n_images))
    assert (np.diff(order.block) >= 0).all()


@given(st.integers(2, 40), st.integers(1, 12), SEEDS)
def test_no_image_follows_itself(n_images, repeats, seed):
    assert (np.diff(blocked_order(n_images, repeats, seed).image) != 0).all()


@given(st.integers(2, 40), st.integers(1, 12), SEEDS)
def test_the_same_seed_gives_the_same_order(n_images, repeats, seed):
    one, other = (blocked_order(n_images, repeats, seed).image for _ in range(2))
    assert np.array_equal(one, other)


def test_seeds_give_different_orders_and_blocks_differ():
    orders = [blocked_order(30, 2, seed).image for seed in range(5)]
    assert len({tuple(order) for order in orders}) == 5
    assert not np.array_equal(orders[0][:30], orders[0][30:])


def test_every_allowed_order_of_a_block_is_equally_likely():
    seconds = [tuple(blocked_order(3, 2, seed).image) for seed in range(6000)]
    # 6 first blocks × 4 second blocks that do not start with the last image
    counts = np.unique(seconds, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert counts.min() > 180
    assert counts.max() < 325


@given(st.integers(1, 20), st.integers(1, 6), SEEDS, st.data())
def test_a_blank_comes_as_often_as_told_in_every_block_and_never_follows_itself(others, repeats, seed, data):
    times = data.draw(st.integers(1, others))
    order = blocked_order(others + 1, repeats, seed, last_times=times)
    for block in range(repeats):
        counts = np.bincount(order.image[order.block == block], minlength=others + 1)
        assert counts.tolist() == [1] * others + [times]
    assert (np.diff(order.image) != 0).all()


def test_every_place_of_the_blanks_is_equally_likely():
    found = [tuple(blocked_order(4, 1, seed, last_times=2).image) for seed in range(6000)]
    # 6 orders of the three others × 6 pairs of the four gaps
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == 36
    assert counts.min() > 115
    assert counts.max() < 222


@pytest.mark.parametrize(
    ("n_images", "repeats", "last_times"), [(0, 5, 1), (5, 0, 1), (5, 1, 0), (1, 2, 1), (1, 1, 2), (3, 1, 3)]
)
def test_an_order_that_cannot_be_is_refused(n_images, repeats, last_times):
    with pytest.raises(ConfigurationError, match="expected"):
        blocked_order(n_images, repeats, 0, last_times=last_times)


def test_a_single_image_may_be_shown_once():
    assert blocked_order(1, 1, 0).image.tolist() == [0]

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.errors import DataError
from inception_loop.training.batches import images_an_epoch, round_robin, shuffled_batches
from inception_loop.training.config import RoundRobin


def epoch(rows, *, size=3, seed=1, number=0, mode="longest"):
    return [(name, batch.tolist()) for name, batch in round_robin(rows, size, seed, number, mode)]


@given(st.integers(2, 50), st.integers(2, 20))
def test_batches_are_even_cover_every_row_once_and_are_as_few_as_possible(n, size):
    batches = shuffled_batches(np.arange(n), size, np.random.default_rng(1))
    lengths = [len(batch) for batch in batches]
    if size == 2 and n % 2:  # in pairs one would be left over, and batch norm has no spread of one
        assert sorted(lengths) == [2] * ((n - 3) // 2) + [3]
        return
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    assert len(lengths) == -(-n // size)
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))


@given(st.integers(2, 50), st.integers(2, 20))
def test_the_order_is_numpys_even_split_of_the_permutation(n, size):
    if size == 2 and n % 2:
        return
    expected = np.array_split(np.random.default_rng(1).permutation(np.arange(n)), -(-n // size))
    for batch, rows in zip(
        shuffled_batches(np.arange(n), size, np.random.default_rng(1)), expected, strict=True
    ):
        np.testing.assert_array_equal(batch, rows)


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=4),
    st.integers(2, 15),
    st.sampled_from(get_args(RoundRobin)),
)
def test_images_of_an_epoch_are_those_of_its_batches(trials, size, mode):
    rows = {str(index): np.arange(count) for index, count in enumerate(trials)}
    learnt = sum(len(batch) for _, batch in epoch(rows, size=size, mode=mode))
    assert images_an_epoch(trials, size, mode) == learnt


def test_longest_cuts_nothing_and_starts_the_shorter_scan_again():
    rows = {"long": np.arange(11), "short": np.arange(100, 104)}
    order = epoch(rows)
    assert [name for name, _ in order] == ["long", "short"] * 4
    seen = Counter(row for _, batch in order for row in batch)
    assert all(seen[row] == 1 for row in range(11))
    assert all(seen[row] == 2 for row in range(100, 104))


def test_shortest_ends_with_the_shortest_scan():
    rows = {"long": np.arange(11), "short": np.arange(100, 104)}
    assert [name for name, _ in epoch(rows, mode="shortest")] == ["long", "short"] * 2


def test_the_order_is_the_seeds_and_the_epochs_alone():
    rows = {"a": np.arange(40), "b": np.arange(40)}
    assert epoch(rows) == epoch(rows)
    assert epoch(rows) != epoch(rows, seed=2)
    assert epoch(rows) != epoch(rows, number=1)
    assert dict(epoch(rows))["a"] != dict(epoch(rows))["b"]


def test_a_scan_with_nothing_to_learn_from_is_refused():
    with pytest.raises(DataError, match="b has 1 trials to learn from"):
        epoch({"a": np.arange(4), "b": np.arange(1)})

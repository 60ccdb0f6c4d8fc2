from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.errors import ConfigurationError, DataError
from inception_loop.training.prefetch import prefetched


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@given(st.lists(st.none() | st.integers()), st.integers(1, 5))
def test_the_same_items_come_in_the_same_order_and_the_thread_ends(items, depth):
    assert list(prefetched(items, depth)) == items
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_only_so_many_are_made_ahead_one_at_a_time(depth):
    made, makers = [], set()

    def source():
        for n in range(20):
            makers.add(threading.current_thread().name)
            made.append(n)
            yield n

    for used, _ in enumerate(prefetched(source(), depth)):
        time.sleep(0.002)
        assert used + 1 <= len(made) <= used + 1 + depth
    assert len(made) == 20
    assert len(makers) == 1
    assert threading.current_thread().name not in makers


def test_the_next_is_made_while_the_current_is_used():
    begun = threading.Event()

    def source():
        yield 1
        begun.set()
        yield 2

    items = prefetched(source())
    assert next(items) == 1
    assert begun.wait(10)  # nobody has asked for the second yet
    assert list(items) == [2]


def test_an_error_comes_where_its_item_would_have_come():
    def source():
        yield 1
        yield 2
        raise DataError("no third")

    items = prefetched(source(), 4)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(DataError, match="no third"):
        next(items)
    assert threads() == []


def test_closing_early_ends_the_thread():
    items = prefetched(iter(int, 1), 2)  # endless
    assert next(items) == 0
    assert threads() != []
    items.close()
    assert threads() == []


def test_an_error_of_the_user_ends_the_thread():
    def use():
        with closing(prefetched(iter(int, 1))) as items:
            for item in items:
                raise DataError(f"{item} is no good")

    with pytest.raises(DataError, match="0 is no good"):
        use()
    assert threads() == []


def test_nothing_ahead_is_refused():
    with pytest.raises(ConfigurationError, match="0 items were to be made ahead; expected at least 1"):
        next(prefetched([1], 0))

"""The next items of an iterator, prepared while the current one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from inception_loop.errors import ConfigurationError

T = TypeVar("T")


def prefetched(items: Iterable[T], depth: int = 1) -> Generator[T]:
    """Yield the same items in the same order, the next ones being made by a thread meanwhile.

    Parameters
    ----------
    items
        Made one after the other, never two at a time. An error in making one is raised where that item
        would have come.
    depth
        How many are made ahead.

    Yields
    ------
    item
        When all are used, or the generator is closed, the thread has ended. It may take as long as the item
        that is being made.

    Raises
    ------
    ConfigurationError
        If ``depth`` is less than 1.

    Examples
    --------
    >>> list(prefetched(n * n for n in range(4)))
    [0, 1, 4, 9]
    """
    if depth < 1:
        raise ConfigurationError(f"{depth} items were to be made ahead; expected at least 1")
    source, end = iter(items), object()
    worker = ThreadPoolExecutor(1, "prefetch")
    try:
        waiting = deque(worker.submit(next, source, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(worker.submit(next, source, end))
            yield item  # type: ignore[misc]  # the end is no item
    finally:
        worker.shutdown(cancel_futures=True)

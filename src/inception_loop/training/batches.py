"""The order in which trials are learnt from: seeded, even batches, scan after scan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inception_loop.errors import DataError
from inception_loop.training.config import RoundRobin

Rows = npt.NDArray[np.int64]


def shuffled_batches(rows: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
    """Cut shuffled rows into as few batches of at most ``size`` as will do, as even as possible.

    None is of one row, which batch norm cannot learn from: of an odd number in twos, the last are three.

    Examples
    --------
    >>> [len(batch) for batch in shuffled_batches(np.arange(7), 3, np.random.default_rng(1))]
    [3, 2, 2]
    """
    return np.array_split(rng.permutation(rows), _number(len(rows), size))


def images_an_epoch(trials: Sequence[int], size: int, mode: RoundRobin) -> int:
    """Count the trials that an epoch of `round_robin` learns from, those that come again included.

    Parameters
    ----------
    trials
        Number of each scan's training trials.
    size, mode
        As of `round_robin`.

    Examples
    --------
    >>> images_an_epoch([4, 2], 2, "longest"), images_an_epoch([4, 2], 2, "shortest")
    (8, 4)
    """
    turns, total = _turns(trials, size, mode), 0
    for count in trials:
        passes, rest = divmod(turns, batches := _number(count, size))
        least, longer = divmod(count, batches)  # the first ``longer`` batches of a pass have one trial more
        total += passes * count + rest * least + min(rest, longer)
    return total


def round_robin(
    rows: Mapping[str, Rows], size: int, seed: int, epoch: int, mode: RoundRobin
) -> Iterator[tuple[str, Rows]]:
    """Yield one epoch: a batch of each scan in turn.

    Parameters
    ----------
    rows
        Training trials of each scan.
    size
        Most trials a batch.
    seed, epoch
        Decide the order; an epoch's order does not depend on those before it.
    mode
        End with the longest scan, shorter ones being shuffled anew and started again, or with the shortest.

    Raises
    ------
    DataError
        If a scan has fewer than 2 trials to learn from (batch norm needs two a batch).

    Examples
    --------
    >>> two = {"a": np.arange(4), "b": np.arange(2)}
    >>> [name for name, _ in round_robin(two, 2, seed=1, epoch=0, mode="longest")]
    ['a', 'b', 'a', 'b']
    """
    for name, trials in rows.items():
        if len(trials) < 2:
            raise DataError(
                f"{name} has {len(trials)} trials to learn from; expected at least 2; check its tiers"
            )
    passes = {name: _endless(trials, size, [seed, epoch, i]) for i, (name, trials) in enumerate(rows.items())}
    for _ in range(_turns([len(trials) for trials in rows.values()], size, mode)):
        for name, batches in passes.items():
            yield name, next(batches)


def _number(trials: int, size: int) -> int:
    """Count the batches of a pass."""
    return max(min(math.ceil(trials / size), trials // 2), 1)


def _turns(trials: Iterable[int], size: int, mode: RoundRobin) -> int:
    numbers = [_number(count, size) for count in trials]
    return max(numbers) if mode == "longest" else min(numbers)


def _endless(rows: Rows, size: int, seed: list[int]) -> Iterator[Rows]:
    rng = np.random.default_rng(seed)
    while True:
        yield from shuffled_batches(rows, size, rng)

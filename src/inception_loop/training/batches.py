"""The order in which trials are learnt from: seeded, even batches, scan after scan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from inception_loop.errors import DataError
from inception_loop.training.config import RoundRobin

Rows = npt.NDArray[np.int64]


def shuffled_batches(rows: Rows, size: int, rng: np.random.Generator) -> list[Rows]:
    """Cut shuffled rows into as few batches of at most ``size`` as will do, as even as possible.

    Examples
    --------
    >>> [len(batch) for batch in shuffled_batches(np.arange(7), 3, np.random.default_rng(1))]
    [3, 2, 2]
    """
    return np.array_split(rng.permutation(rows), math.ceil(len(rows) / size))


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
    lengths = [math.ceil(len(trials) / size) for trials in rows.values()]
    for _ in range(max(lengths) if mode == "longest" else min(lengths)):
        for name, batches in passes.items():
            yield name, next(batches)


def _endless(rows: Rows, size: int, seed: list[int]) -> Iterator[Rows]:
    rng = np.random.default_rng(seed)
    while True:
        yield from shuffled_batches(rows, size, rng)

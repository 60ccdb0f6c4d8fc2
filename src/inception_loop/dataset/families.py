"""Families of images: what may not be split between the tiers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def family_of(natural: pl.DataFrame, alike: pl.DataFrame | None = None) -> pl.Series:
    """Label rows that are linked, directly or in steps, by hash, identity, source or likeness.

    Parameters
    ----------
    natural
        Table with ``condition_hash, image_class, image_id, source_id`` (empty: its own source).
    alike
        Pairs ``condition_hash_a, condition_hash_b`` that are linked too; those not in the table are ignored.

    Returns
    -------
    Number of each row's family.

    Examples
    --------
    >>> rows = pl.DataFrame({"condition_hash": ["a", "b", "c"], "image_class": ["imagenet"] * 3,
    ...                      "image_id": [1, 2, 3], "source_id": ["x", "", "x"]})
    >>> family_of(rows).to_list()
    [0, 1, 0]
    """
    row = pl.int_range(pl.len()).cast(pl.String)
    keys = natural.select(
        pl.format("hash {}", "condition_hash"),
        identity=pl.format("image {}/{}", "image_class", "image_id"),
        source=pl.when(pl.col("source_id") != "")
        .then(pl.format("source {}", "source_id"))
        .otherwise(pl.format("row {}", row)),
    )
    numbers = [keys[name].rank("dense").to_numpy().astype(np.int64) for name in keys.columns]
    starts = natural.height + np.cumsum([0, *(int(n.max()) + 1 for n in numbers)])
    ends = np.concatenate([n + start for n, start in zip(numbers, starts[:-1], strict=True)])
    begins = np.tile(np.arange(natural.height), len(numbers))
    if alike is not None:
        one, other = _rows_alike(natural["condition_hash"], alike)
        begins, ends = np.concatenate([begins, one]), np.concatenate([ends, other])
    graph = coo_array((np.ones(ends.size), (begins, ends)), shape=(starts[-1], starts[-1]))
    return pl.Series(connected_components(graph, directed=False)[1][: natural.height])


def _rows_alike(hashes: pl.Series, alike: pl.DataFrame) -> tuple[npt.NDArray[np.int64], ...]:
    """Return one row of each condition of the pairs, as far as both are there."""
    first = pl.DataFrame({"hash": hashes}).with_row_index("row").unique("hash", keep="first")
    pairs = alike.join(first, left_on="condition_hash_a", right_on="hash").join(
        first, left_on="condition_hash_b", right_on="hash", suffix="_b"
    )
    return tuple(pairs[name].to_numpy().astype(np.int64) for name in ("row", "row_b"))

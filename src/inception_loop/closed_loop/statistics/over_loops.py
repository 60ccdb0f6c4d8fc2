"""Several loops in one table: every loop by itself, their units together, and the animals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from inception_loop.closed_loop.matrix import ConfusionMatrix
from inception_loop.closed_loop.statistics.loop_rows import loop_row, noted, pooled_rows
from inception_loop.closed_loop.statistics.per_unit import benjamini_hochberg
from inception_loop.closed_loop.statistics.pooled import Noun
from inception_loop.closed_loop.statistics.table_of_tests import SCHEMA, Row
from inception_loop.errors import DataError

ACROSS = {"comparison": pl.String, "loop": pl.String, "animal": pl.String, "n_above": pl.Int64, **SCHEMA}
"""Columns of the table across loops."""

UNITS = {
    "comparison": pl.String,
    "what": pl.String,
    "loop": pl.String,
    "animal": pl.String,
    "unit": pl.String,
    "own": pl.Float64,
    "control": pl.Float64,
}
"""Columns of the units that it is made from."""

OTHERS = "_others"
"""End of a comparison with the mean response to the other units' images."""


def across_loops(
    units: pl.DataFrame,
    *,
    loops: Sequence[tuple[str, str]] | None = None,
    scale: str = "z",
    n_permutations: int = 99_999,
    seed: int = 0,
    shared: Mapping[tuple[str, str], str] | None = None,
    matrices: Mapping[str, Sequence[ConfusionMatrix]] | None = None,
    noun: Noun = "loop",
) -> pl.DataFrame:
    """Return own against control, loop by loop and over all loops.

    Parameters
    ----------
    units
        ``comparison`` (its key), ``what`` (the same in words), ``loop``, ``animal``, ``unit`` (its name,
        unique within the animal), ``own``, ``control`` (mean responses); a row a unit.
    loops
        Name and animal of every loop, in the order wanted, also of loops without a unit; by default those of
        the units.
    scale
        Unit of the responses, for the words.
    n_permutations, seed
        Of the sign flips; the seed also of the bootstrap.
    shared
        Comparison and loop → how many of its units share trials, for the words.
    matrices
        Comparison with others' images → confusion matrix of every loop that has one: images are permuted
        within loops.
    noun
        What a loop is called in the words.

    Returns
    -------
    Table ``comparison, loop, animal, n_above`` (units with own above control) and the columns of
    `table_of_tests`. For every comparison a row a loop (``lower, upper`` of the bootstrap over its units, p
    of the sign flips, none against others' images; q over all loops and comparisons), then, without loop
    and animal, ``…_pooled_units``, with ``matrices`` ``…_pooled_diagonal`` (value: own minus a shuffled
    image, one-sided p), and the rows of `animal_rows`, which refuse fewer than 5 animals in their
    words. An animal's units count as one animal however many loops they are in.

    Raises
    ------
    DataError
        If a column lacks, a response is not finite, or a unit is in a comparison twice.

    Examples
    --------
    >>> rows = [("cnn_linear", "MEI against RF image", loop, f"animal {loop}", str(unit), 1.0 + unit / 8, 1.0)
    ...         for loop in "ab" for unit in range(8)]
    >>> table = across_loops(pl.DataFrame(rows, schema=UNITS, orient="row"))
    >>> table.select("loop", "n", "value", "p_value").rows()[:2]
    [('a', 8, 0.4375, 0.015625), ('b', 8, 0.4375, 0.015625)]
    >>> table["words"][4]
    'MEI against RF image: not done: there are 2 animals; expected at least 5: fewer do not show how animals \
differ, so no statement over animals is made; give the interval of each animal over its units'
    """
    table = _checked(units)
    names = (
        table.select("loop", "animal").unique(maintain_order=True).rows() if loops is None else list(loops)
    )
    drawn: dict[str, Any] = {"scale": scale, "n_permutations": n_permutations, "seed": seed, "noun": noun}
    rows: list[Row] = []
    kinds: list[str] = []
    for (comparison, what), part in table.group_by("comparison", "what", maintain_order=True):
        options = drawn | {"flipped": not str(comparison).endswith(OTHERS)}
        found = [
            loop_row(str(what), part.filter(loop=loop), loop, animal, **options) for loop, animal in names
        ]
        of_loops = [(loop, (shared or {}).get((str(comparison), loop))) for loop, _ in names]
        notes = {loop: note for loop, note in of_loops if note}
        found = [noted(row, notes.get(str(row["loop"]))) for row in found]
        shares = [f"in {noun} {loop} {note}" for loop, note in notes.items()]
        of = (matrices or {}).get(str(comparison), ())
        found += pooled_rows(str(what), part, names, shares, of, **options)
        kinds += ["loop" if "loop" in row else str(row["key"]) for row in found]
        rows += [row | {"key": f"{comparison}_{row['key']}", "comparison": comparison} for row in found]
    out = pl.DataFrame(rows, schema=ACROSS)
    q_values = pl.Series("q_value", [None] * out.height, dtype=pl.Float64)
    for kind in sorted(set(kinds)):
        places = [place for place, one in enumerate(kinds) if one == kind]
        q_values[places] = benjamini_hochberg(out["p_value"][places])
    return out.with_columns(q_values)


def _checked(units: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in UNITS if name not in units.columns]
    if missing:
        raise DataError(f"the table of units lacks {', '.join(missing)}; it has {', '.join(units.columns)}")
    twice = units.filter(pl.struct("comparison", "animal", "unit").is_duplicated())
    if twice.height:
        first = twice.row(0, named=True)
        loops = twice.filter(unit=first["unit"], animal=first["animal"])["loop"].unique().sort().to_list()
        n = twice.select("animal", "unit").n_unique()
        raise DataError(
            f"{n} units are in a comparison twice, first unit {first['unit']} of animal {first['animal']} "
            f"in loops {' and '.join(loops)}: the same cell would count as two; expected each unit once; "
            "pool the later days of one source scan in one loop, or leave one of these loops out"
        )
    return units

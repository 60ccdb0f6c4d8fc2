"""Every test of a loop as a row: what was asked, of how many, what came out, what it assumes; in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import polars as pl

from inception_loop.closed_loop.statistics.per_unit import benjamini_hochberg
from inception_loop.errors import DataError

SCHEMA = {
    "key": pl.String,
    "what": pl.String,
    "statistic": pl.String,
    "value": pl.Float64,
    "p_value": pl.Float64,
    "q_value": pl.Float64,
    "n": pl.Int64,
    "n_of": pl.String,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "method": pl.String,
    "assumptions": pl.String,
    "words": pl.String,
}

INDEPENDENT = "units independent (no shared trials)"
SKEWED = "with 6 to 20 units of sparse responses it is too narrow (holds the mean in 86–91 %, not 95 %)"

ASSUMPTIONS = {
    "sign_flip": f"{INDEPENDENT}; without an effect, own and control of a unit are exchangeable",
    "wilcoxon": f"{INDEPENDENT}; without an effect, differences symmetric about 0",
    "interval": f"units a random sample of units like them; {INDEPENDENT}; about this animal only",
    "share": f"units a random sample of units like them; {INDEPENDENT}; about this animal only",
    "per_unit": "trials of a unit exchangeable without an effect (random order, independent noise); units "
    "independent or positively dependent for the correction",
    "diagonal": "without an effect, any image could have been any unit's",
    "own_over_others": f"units a random sample of units like them; {INDEPENDENT}; about this animal only; "
    f"{SKEWED}",
    "pooled_units": f"units of each loop a random sample of units like them; {INDEPENDENT}; without an "
    "effect, own and control of a unit are exchangeable; interval and p about these animals only",
    "pooled_over_others": f"units of each loop a random sample of units like them; {INDEPENDENT}; about "
    f"these animals only; {SKEWED}",
    "pooled_diagonal": "without an effect, any image of a loop could have been any of its units'; p about "
    "these animals only",
    "animals_sign_flip": "animals independent; without an effect, an animal's mean is symmetric about 0",
    "animals_interval": "animals a random sample of animals like them; each weighs the same",
    "animals_mixed": "animals and units normal; units of all animals vary alike, independent within",
}
"""What each row assumes, by the end of its key."""

Row = dict[str, object]


def table_of_tests(rows: Iterable[Row]) -> pl.DataFrame:
    """Return rows as a table; tests of the same kind are corrected for how many comparisons there are.

    Parameters
    ----------
    rows
        Of the functions of `rows`, of one loop or of one analysis over animals.

    Returns
    -------
    Table ``key, what, statistic, value, p_value, q_value`` (Benjamini & Hochberg over the comparisons that
    were tested the same way), ``n, n_of`` (units or animals), ``lower, upper`` (95 %), ``method, assumptions,
    words``. Null where something was not done; ``words`` says why.

    Examples
    --------
    >>> from inception_loop.closed_loop.statistics.rows import comparison_rows
    >>> rows = comparison_rows("a", "a", [2, 3, 4, 3, 5], [1, 1, 1, 1, 1])
    >>> table = table_of_tests(rows + comparison_rows("b", "b", [2, 3, 4, 3, 0.5], [1, 1, 1, 1, 1]))
    >>> table.filter(pl.col("key").str.ends_with("sign_flip"))["q_value"].to_list()
    [0.125, 0.125]
    """
    table = pl.DataFrame(list(rows), schema=SCHEMA)
    twice = table.filter(pl.col("key").is_duplicated())["key"].unique().sort().to_list()
    if twice:
        raise DataError(
            f"{len(twice)} tests have the key of another, first {twice[0]}; expected one row a key"
        )
    kinds = [_kind(key) for key in table["key"]]
    q_values = pl.Series("q_value", [None] * table.height, dtype=pl.Float64)
    for kind in sorted(set(kinds)):
        places = [place for place, found in enumerate(kinds) if found == kind]
        q_values[places] = benjamini_hochberg(table["p_value"][places])
    return table.with_columns(q_values)


def row_of(key: str, what: str, statistic: str, n_of: str, test: Callable[[], Row]) -> Row:
    """Return the row of one test; if the data do not allow it, without numbers and with the reason.

    Parameters
    ----------
    key
        Of the row; its end is one of `ASSUMPTIONS`.
    what, statistic, n_of
        What is compared, by which number, and what is counted (units, animals).
    test
        Returns the row's numbers, method and words.

    Examples
    --------
    >>> row_of("cnn_share", "a", "share", "units", lambda: {"value": 0.5, "words": "half"})["words"]
    'a: half'
    """
    row: Row = {"key": key, "what": what, "statistic": statistic, "n_of": n_of}
    row["assumptions"] = ASSUMPTIONS[_kind(key)]
    try:
        found = test()
    except DataError as error:
        return row | {"words": f"{what}: not done: {error}"}
    return row | found | {"words": f"{what}: {found['words']}"}


def _kind(key: str) -> str:
    """Return what kind of test a key speaks of: the longest known end of it."""
    return max((kind for kind in ASSUMPTIONS if key.endswith(f"_{kind}")), key=len)

"""Why units fell out of a selection, for people: how many by each rule, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from inception_loop.selection.high_units import REASONS, SELECTED

ALL, KEPT = "all units", "selected"
BY_HOW_MUCH: Mapping[str, str] = MappingProxyType(
    {
        "no_oracle": "median oracle {:.2f}; more than {:.0f} is needed",
        "low_oracle": "{:.2f} of the units are better (median); less than {:.2f} is allowed",
        "near_border": "{:.1f} µm from the border (median); {:g} µm are needed",
        "low_cnn_fraction": "median {:.2f}; more than {:.2f} is needed",
        "low_linear_fraction": "median {:.2f}; more than {:.2f} is needed",
        "too_close": "{:.1f} µm from it (median); {:g} µm are needed",
        "beyond_max_rank": "up to rank {:.0f}; ranks below {:.0f} are wanted",
    }
)
"""Reason → sentence of what was measured and of the threshold."""


def why_units_fell_out(selection: pl.DataFrame) -> pl.DataFrame:
    """Count what each rule removed from each member, in the order of the rules.

    Parameters
    ----------
    selection
        Table of a ``corrected_high_unit_selection``.

    Returns
    -------
    Table ``name`` (member), ``reason``, ``rule`` (in words), ``removed``, ``left``, ``by_how_much`` (in
    words, empty in selections of an older version). First all units of the member, then every rule that
    removed some, last the selected ones.

    Examples
    --------
    >>> columns = {"name": "a", "reason": ["", "too_close", "too_close"], "measured": [None, 12.5, 3.5]}
    >>> table = why_units_fell_out(pl.DataFrame({**columns, "threshold": [None, 20.0, 20.0]}))
    >>> table.select("rule", "removed", "left").rows()
    [('all units', 0, 3), ('near a unit selected before it', 2, 1), ('selected', 0, 1)]
    >>> table["by_how_much"][1]
    '8.0 µm from it (median); 20 µm are needed'
    """
    rows = [row for name in sorted(set(selection["name"])) for row in _rows(selection.filter(name=name))]
    words = dict.fromkeys(("name", "reason", "rule"), pl.String)
    schema = {**words, "removed": pl.Int64, "left": pl.Int64, "by_how_much": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _rows(member: pl.DataFrame) -> list[tuple[str, str, str, int, int, str]]:
    name, left = member["name"][0], member.height
    rows = [(name, "", ALL, 0, left, "")]
    for reason, rule in REASONS.items():
        out = member.filter(reason=reason)
        left -= out.height
        if out.height:
            rows.append((name, reason, rule, out.height, left, _by_how_much(reason, out)))
    return [*rows, (name, SELECTED, KEPT, 0, left, "")]


def _by_how_much(reason: str, out: pl.DataFrame) -> str:
    known = out.drop_nulls(["measured", "threshold"])
    if known.height == 0 or reason not in BY_HOW_MUCH:
        return ""
    middle = pl.col("measured").max() if reason == "beyond_max_rank" else pl.col("measured").median()
    return BY_HOW_MUCH[reason].format(*known.select(middle, pl.col("threshold").first()).row(0))


def markdown_of(why: pl.DataFrame) -> str:
    """Return what `why_units_fell_out` counted as Markdown: a heading and a table for each member.

    Examples
    --------
    >>> columns = {"name": "a", "reason": ["", "too_close"], "measured": [None, 3.5]}
    >>> selection = pl.DataFrame({**columns, "threshold": [None, 20.0]})
    >>> print(markdown_of(why_units_fell_out(selection)))
    ### a: 1 of 2 units selected
    <BLANKLINE>
    | rule | removed | left | by how much |
    |---|---:|---:|---|
    | all units |  | 2 |  |
    | near a unit selected before it | 1 | 1 | 3.5 µm from it (median); 20 µm are needed |
    | selected |  | 1 |  |
    """
    return "\n\n".join(_section(why.filter(name=name)) for name in sorted(set(why["name"])))


def _section(member: pl.DataFrame) -> str:
    head = f"### {member['name'][0]}: {member['left'][-1]} of {member['left'][0]} units selected"
    lines = [
        f"| {row['rule']} | {row['removed'] or ''} | {row['left']} | {row['by_how_much']} |"
        for row in member.iter_rows(named=True)
    ]
    return "\n".join([head, "", "| rule | removed | left | by how much |", "|---|---:|---:|---|", *lines])

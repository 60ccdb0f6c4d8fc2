"""What a report says on a terminal: the answer, and how many cells go along with each comparison."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from inception_loop.report import words
from inception_loop.report.answer import Statement, Verdict, answer, evidence_by_key, statements

_SIGNS: Mapping[Verdict, str] = {"shown": "✓", "not shown": "○", "opposite": "✗", "not asked": "?"}


def report_lines(numbers: pl.DataFrame, tests: pl.DataFrame) -> list[str]:
    """Return the answer of a loop in few lines.

    Parameters
    ----------
    numbers, tests
        Tables of a report.
    """
    evidence, tested = evidence_by_key(numbers), evidence_by_key(tests)
    said = [_line(one) for one in statements(evidence, tested)]
    return [f"Do cells prefer the images computed for them? {answer(evidence, tested).headline}", *said]


def _line(one: Statement) -> str:
    share = one.share
    line = f"  {_SIGNS[one.verdict]} {share['count']} of {share['n']} {one.what}"
    if one.test is None or one.test["p_value"] is None:
        return line
    q = one.test["q_value"]
    return f"{line}: p = {words.p_value(one.test['p_value'])}" + (
        "" if q is None else f", q = {words.p_value(q)}"
    )

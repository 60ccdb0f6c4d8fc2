"""The answer of a loop in words: each comparison by its own test, by a rule that the report states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from inception_loop.closed_loop.diagonal import CONTROLS, OWN
from inception_loop.closed_loop.evidence import COMPARED
from inception_loop.report import words
from inception_loop.report.closed_loop.loop_tests import PANEL
from inception_loop.report.closed_loop.names import PLURALS, compared_names, comparison_key

Verdict = Literal["shown", "not shown", "opposite", "not asked"]
Row = Mapping[str, Any]

SIGNIFICANT = 0.001
Q = 0.05
RULE = (
    f"“Shown” against the MEIs of other cells stands for p < {SIGNIFICANT} in the permutation test of the "
    f"diagonal; against a control image for a mean difference above 0 with q ≤ {Q} when the signs of the "
    "cells’ differences are flipped at random (corrected over the comparisons); “opposite” for one below 0. "
    "Everything else is “not shown”, which is no proof of equality: see the interval. A mean over cells says "
    "nothing of each cell: how many go along stands beside it."
)


@dataclass(frozen=True)
class Statement:
    """One comparison with its own test and interval.

    Attributes
    ----------
    key : of the number of the evidence: a share of cells
    what : what these cells do, in words
    tone : control that it is about, for its colour; empty: the MEIs of other cells
    against : what the own image is held against, in the plural
    verdict : by `RULE`
    share : the evidence's row of the share
    difference : row of the table of tests with the mean difference and its interval; None: not there
    test : row with the p-value; None: not there
    per_unit : row on the cells that differ by their own trials; None: not there
    """

    key: str
    what: str
    tone: str
    against: str
    verdict: Verdict
    share: Row
    difference: Row | None
    test: Row | None
    per_unit: Row | None


@dataclass(frozen=True)
class Answer:
    """The headline.

    Attributes
    ----------
    tone : for its colour and sign: yes, partly, no, open
    headline : one short sentence about the mean over cells
    cells : how many cells go along, in one sentence; empty: nothing was asked
    """

    tone: Literal["yes", "partly", "no", "open"]
    headline: str
    cells: str = ""


def evidence_by_key(evidence: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the rows of the artifact ``evidence``, or of a table of tests, by their key."""
    return {row["key"]: row for row in evidence.iter_rows(named=True)}


def statements(evidence: Mapping[str, Row], tests: Mapping[str, Row]) -> list[Statement]:
    """Return every comparison that was asked, the own MEI against those of other cells first.

    Parameters
    ----------
    evidence, tests
        Rows of the evidence and of the table of tests, by key.
    """
    found = []
    best, p = evidence.get("own_image_is_best_share", {}), evidence.get("diagonal_p_value", {})
    if best.get("value") is not None:
        test = tests.get("cnn_diagonal") or {"p_value": p.get("value"), "q_value": None, "n": p.get("n")}
        what = "answer to their own MEI more than to the MEI of any other cell"
        rows = (tests.get("cnn_own_over_others"), test, None)
        verdict = _diagonal_verdict(p)
        found.append(
            Statement("own_image_is_best_share", what, "", "the MEIs of other cells", verdict, best, *rows)
        )
    for control in CONTROLS:
        key, (own, other) = comparison_key(control), compared_names(control)
        what = f"answer more to their {own} than to their {other}"
        against = PLURALS[control] + ("" if OWN[control] == "cnn" else " (of masked MEIs)")
        found += _compared(COMPARED[control].share, key, what, control, against, evidence, tests)
    what = (
        "of the complex cells of the truth panel answer more to their own MEI than to their linear RF image"
    )
    key, against = f"{PANEL}_{comparison_key('linear')}", "linear RF images (of complex cells)"
    found += _compared("panel_complex_mei_over_rf_share", key, what, "linear", against, evidence, tests)
    return found


def _compared(
    share_key: str,
    key: str,
    what: str,
    tone: str,
    against: str,
    evidence: Mapping[str, Row],
    tests: Mapping[str, Row],
) -> list[Statement]:
    share, test = evidence.get(share_key, {}), tests.get(f"{key}_sign_flip")
    if share.get("value") is None:
        return []
    rows = (tests.get(f"{key}_interval"), test, tests.get(f"{key}_per_unit"))
    return [Statement(share_key, what, tone, against, _verdict(test), share, *rows)]


def _diagonal_verdict(row: Row) -> Verdict:
    p = row.get("value")
    if p is None:
        return "not asked"
    return "shown" if p < SIGNIFICANT else "not shown"


def _verdict(test: Row | None) -> Verdict:
    if test is None or test["p_value"] is None or test["value"] is None:
        return "not asked"
    q = test["p_value"] if test["q_value"] is None else test["q_value"]
    if q > Q:
        return "not shown"
    return "shown" if test["value"] > 0 else "opposite"


def answer(evidence: Mapping[str, Row], tests: Mapping[str, Row] | None = None) -> Answer:
    """Return the answer to "does each cell prefer the image computed for it?"; the rule is `RULE`.

    Masked images and the truth panel are asked and corrected apart and have no part in the headline.

    Examples
    --------
    >>> evidence = {"diagonal_p_value": {"value": 1e-5}, "own_image_is_best_share": {"value": 0.7},
    ...             "own_mei_over_own_rf_share": {"value": 0.3}}
    >>> tests = {"cnn_linear_sign_flip": {"value": -0.3, "p_value": 0.2, "q_value": 0.2}}
    >>> print(answer(evidence, tests).headline)
    Yes against the MEIs of other cells; not shown against linear RF images.
    """
    said = [one for one in statements(evidence, tests or {}) if one.key in _HEADLINE]
    if not said:
        return Answer("open", _OPEN)
    first = said[0]
    if first.key != "own_image_is_best_share" or first.verdict == "not asked":
        return Answer("open", _OPEN)
    cells = _cells(said)
    by = {verdict: [one.against for one in said if one.verdict == verdict] for verdict in _SAID}
    parts = [f"{how} {_listed(by[verdict])}" for verdict, how in _SAID.items() if by[verdict]]
    headline = "; ".join(parts) + "."
    if first.verdict != "shown":
        nothing = not by["shown"] and not by["opposite"]
        return Answer("no", _NOTHING if nothing else headline[0].upper() + headline[1:], cells)
    plain = all(one.verdict == "shown" for one in said)
    return Answer("yes" if plain else "partly", headline[0].upper() + headline[1:], cells)


def _cells(said: list[Statement]) -> str:
    """Return how many cells go along; a comparison of fewer cells than the first has its own n.

    Examples
    --------
    >>> share = {"value": 0.3, "count": 3, "n": 10}
    >>> _cells([Statement("own_mei_over_own_rf_share", "", "linear", "x", "shown", share, None, None, None)])
    'Of 10 cells 3 answer more to their own MEI than to their linear RF image.'
    """
    if any(one.share.get("count") is None for one in said):
        return ""
    n = said[0].share["n"]
    of_n = ["" if one.share["n"] == n else f" of {one.share['n']}" for one in said]
    parts = [
        f"{one.share['count']}{of} {_MORE * (one is said[0])}than to {_THAN[one.tone]}"
        for of, one in zip(of_n, said, strict=True)
    ]
    return f"Of {words.count(n, 'cell')} {_listed(parts)}."


_MORE = "answer more to their own MEI "
_THAN = {
    "": "that of any other cell",
    "linear": "their linear RF image",
    "natural": "their best natural image",
    "gabor": "their best Gabor",
}
_NOTHING = "This loop has not shown it."
_OPEN = "Open: too few selected cells were matched to ask."
_HEADLINE = {
    "own_image_is_best_share",
    *(COMPARED[control].share for control in CONTROLS if OWN[control] == "cnn"),
}
_SAID: Mapping[Verdict, str] = {
    "shown": "yes against",
    "not shown": "not shown against",
    "opposite": "the opposite against",
    "not asked": "not tested against",
}


def _listed(names: list[str]) -> str:
    """Join names as a sentence does.

    Examples
    --------
    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]

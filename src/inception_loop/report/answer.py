"""The answer of a loop in words, by a rule that the report states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

SIGNIFICANT = 0.001
MOST = 0.5
RULE = (
    f"“Yes” stands for p < {SIGNIFICANT} in the permutation test and a majority of cells whose own image "
    "is the best "
    f"of all; “as a population” for p < {SIGNIFICANT} alone; otherwise the loop has not shown it."
)


@dataclass(frozen=True)
class Answer:
    """The headline.

    Attributes
    ----------
    tone : for its colour and sign: yes, partly, no, open
    headline : one short sentence
    """

    tone: Literal["yes", "partly", "no", "open"]
    headline: str


def evidence_by_key(evidence: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the rows of the artifact ``evidence`` by their key."""
    return {row["key"]: row for row in evidence.iter_rows(named=True)}


def answer(evidence: Mapping[str, Mapping[str, Any]]) -> Answer:
    """Return the answer to "does each cell prefer the image computed for it?"; the rule is `RULE`.

    Examples
    --------
    >>> answer({"diagonal_p_value": {"value": 1e-5}, "own_image_is_best_share": {"value": 0.7}}).tone
    'yes'
    """
    p = evidence.get("diagonal_p_value", {}).get("value")
    best = evidence.get("own_image_is_best_share", {}).get("value")
    if p is None or best is None:
        return Answer("open", "Open: too few selected cells were matched to ask.")
    if p < SIGNIFICANT and best > MOST:
        return Answer("yes", "Yes. Most cells prefer the image computed for them.")
    if p < SIGNIFICANT:
        return Answer("partly", "As a population, yes; cell by cell, only some.")
    return Answer("no", "This loop has not shown it.")

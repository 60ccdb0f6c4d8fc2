"""What a learning report says in words and numbers: in a page, in Prefect's UI, on a terminal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from inception_loop.report.learning.artifact import Learning
from inception_loop.report.learning.units import SIDES, fair_score, is_frozen
from inception_loop.report.words import count, number, percent

NAMES = {"cnn": "CNN", "linear": "linear control"}
RF = "linear receptive field"
QUESTION = "How well did the networks learn?"


@dataclass(frozen=True)
class Fact:
    """One number of a report.

    Attributes
    ----------
    key : unique name
    value : unrounded
    shown : as a person reads it
    what : what it is
    note : of how many
    tone : colour of its tile: empty (CNN), linear or plain
    """

    key: str
    value: float
    shown: str
    what: str
    note: str
    tone: str = ""


def facts(learning: Learning) -> list[Fact]:
    """Return the numbers that a report begins with, as far as its data allow them."""
    found = []
    tones = {"cnn": "", "linear": "linear"}
    for family, name in NAMES.items():
        models = learning.models.filter(family=family)
        if models.height:
            best = float(models.filter("best")["val_corr"].to_numpy().max(initial=-1))
            note = f"{count(models.height, 'network')}; all of them {_span(models['val_corr'])}"
            text = f"validation correlation of the best {name}"
            found.append(Fact(f"val_corr_{family}", best, number(best, 3), text, note, tones[family]))
    for family, name in NAMES.items():
        shares = learning.units[f"{SIDES[family]}_fraction_ceiling"].drop_nulls()
        if shares.len():
            frozen = "frozen" in fair_score(learning.units, family)
            value, text = (
                _median(shares),
                f"of the ceiling of an image alone is what the median unit reaches with the {name}"
                + (", told the image alone" if frozen else ""),
            )
            key, note = f"median_fraction_ceiling_{family}", count(shares.len(), "unit")
            found.append(Fact(key, value, percent(value), text, note, tones[family]))
    fields = learning.units["rf_test_corr"].drop_nulls()
    if fields.len():
        value, text = _median(fields), f"test correlation of the median unit with its {RF}"
        note = f"{count(fields.len(), 'unit')}; fitted to the responses alone, no network"
        found.append(Fact("median_test_corr_linear_rf", value, number(value, 3), text, note, "plain"))
    difference = learning.units["cnn_minus_linear"].drop_nulls()
    if difference.len():
        value = float((difference > 0).to_numpy().mean())
        text = "of the units are predicted better by the CNN than by the linear control"
        note = f"{count(difference.len(), 'unit')}; median difference {number(_median(difference), 3)}"
        found.append(Fact("cnn_better_share", value, percent(value), text, note, "plain"))
    return found


@dataclass(frozen=True)
class MedianUnit:
    """The median unit by what predicts it; None: not known.

    Attributes
    ----------
    name : of what predicts
    key : of its numbers
    n_units : units with a score
    recorded : test correlation, told eye and running as recorded
    alone : test correlation, told the image alone (eye and running at their training mean)
    share : of the ceiling
    """

    name: str
    key: str
    n_units: int
    recorded: float | None
    alone: float | None
    share: float | None


def median_units(learning: Learning) -> list[MedianUnit]:
    """Return the rows of the table that puts networks, receptive fields and the ceiling side by side."""
    units, found = learning.units, []

    def median(column: str) -> float | None:
        known = units[column].drop_nulls()
        return _median(known) if known.len() else None

    for family, name in NAMES.items():
        side = SIDES[family]
        recorded, alone = median(f"{side}_test_corr"), median(f"{side}_frozen_test_corr")
        share = median(f"{side}_fraction_ceiling")
        found.append(MedianUnit(name, side, units[f"{side}_test_corr"].count(), recorded, alone, share))
    alone, share = median("rf_test_corr"), median("rf_fraction_ceiling")
    found.append(MedianUnit(RF, "rf", units["rf_test_corr"].count(), None, alone, share))
    found.append(MedianUnit("ceiling", "ceiling", units["ceiling"].count(), None, median("ceiling"), None))
    return [row for row in found if row.n_units]


def headline(learning: Learning) -> str:
    """Answer `QUESTION` in one sentence."""
    known = {fact.key: fact for fact in facts(learning)}
    tested = [
        (name, learning.units[f"{SIDES[family]}_test_corr"].drop_nulls()) for family, name in NAMES.items()
    ]
    said = [f"{number(_median(scores))} with the {name}" for name, scores in tested if scores.len()]
    if said:
        ceiling = learning.units["ceiling"].drop_nulls()
        limit = f"; an image alone allows {number(_median(ceiling))}" if ceiling.len() else ""
        return f"The median unit’s test trials are predicted at a correlation of {' and '.join(said)}{limit}."
    best = [(name, known.get(f"val_corr_{family}")) for family, name in NAMES.items()]
    said = [f"{fact.shown} with the {name}" for name, fact in best if fact]
    return f"The best validation correlation is {' and '.join(said)}."


def remarks(learning: Learning) -> list[str]:
    """Return what a reader must know: whose scores these are, what is missing, who could learn on."""
    return [text for text in (_whose(learning), _without_ceiling(learning), _still_rising(learning)) if text]


def markdown(learning: Learning, see: str = "") -> str:
    """Return the report as Markdown: the answer first, then its numbers and what to know of them.

    Parameters
    ----------
    learning
        What it says.
    see
        How to see the page with its figures; shown under the answer.
    """
    lines = [f"# {headline(learning)}", ""] + ([see, ""] if see else [])
    lines += ["| | what | of |", "|---|---|---|"]
    lines += [f"| {fact.shown} | {fact.what} | {fact.note} |" for fact in facts(learning)]
    lines += ["", *(f"- {remark}" for remark in remarks(learning))]
    return "\n".join([*lines, *(f"- {text}" for text in cannot_be_trained(learning))])


def cannot_be_trained(learning: Learning) -> list[str]:
    """Return a line for every configuration that cannot be trained: which, and why."""
    return [f"{row['what']} cannot be trained: {row['reason']}" for row in learning.bad.iter_rows(named=True)]


def learning_lines(learning: Learning) -> list[str]:
    """Say for a terminal how the networks learnt."""
    numbers = [f"  {fact.shown:>8}  {fact.what} ({fact.note})" for fact in facts(learning)]
    told = [*remarks(learning), *cannot_be_trained(learning)]
    return [headline(learning), *numbers, *(f"  {text}" for text in told)]


def _whose(learning: Learning) -> str:
    of = [
        f"of the mean output of {n} {NAMES[family]} networks" if n > 1 else f"of the best {NAMES[family]}"
        for family, n in learning.scored.select("family", "n_models").rows()
    ]
    return (
        f"Scores unit by unit are {' and '.join(of)}, on single test trials." if of else "No model is scored."
    )


def _without_ceiling(learning: Learning) -> str:
    if not learning.scored.height:
        return ""
    if not learning.scored["has_ceiling"].any():
        return "These scores are older than the ceiling; score the models again to see it here."
    missing = learning.units["ceiling"].null_count()
    known = "The ceiling is an estimate, and of what knows the image alone: " + (
        "shares of it are of networks that are told the mean eye and running. "
        if is_frozen(learning.units)
        else "a network that is told eye and running as recorded may exceed it. "
    )
    if not missing:
        return known.strip()
    return known + (
        f"{missing} of {count(learning.units.height, 'unit')} have no ceiling: their test images were not "
        "repeated, or their responses do not tell one image from another."
    )


def _still_rising(learning: Learning) -> str:
    """Name the networks whose last epoch was their best: they were stopped by the number of epochs."""
    rising = learning.models.filter(pl.col("epochs") > 0, pl.col("best_epoch") == pl.col("epochs")).height
    if not rising:
        return ""
    of = count(learning.models.height, "network")
    was = "was at its best in its" if rising == 1 else "were at their best in their"
    return f"{rising} of {of} {was} last epoch: more epochs may give more."


def _median(values: pl.Series) -> float:
    return float(np.median(values.to_numpy()))


def _span(values: pl.Series) -> str:
    low, high = float(values.to_numpy().min()), float(values.to_numpy().max())
    return number(low, 3) if low == high else f"{number(low, 3)} to {number(high, 3)}"

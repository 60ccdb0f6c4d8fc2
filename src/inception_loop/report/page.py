"""The report: one HTML file that needs no network, readable on a phone and on paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup

from inception_loop.closed_loop.diagonal import CONTROLS
from inception_loop.closed_loop.statistics.power import fewest_units
from inception_loop.report import words
from inception_loop.report.answer import RULE, answer, evidence_by_key, statements
from inception_loop.report.closed_loop.figures import evidence_figures, matching_figures
from inception_loop.report.closed_loop.loop_tests import next_loops
from inception_loop.report.closed_loop.names import PICTURES, compared_names
from inception_loop.report.closed_loop.origins import CHAIN
from inception_loop.report.closed_loop.strip import SHORT, strip
from inception_loop.report.closed_loop.tables import LoopTables, loop_tables
from inception_loop.report.data import ReportData, UnitImages, UnitPicture
from inception_loop.report.figures.canvas import COLORS, NAMES, Figure
from inception_loop.report.figures.models import (
    families_figure,
    funnel_figure,
    oracle_figure,
    training_figure,
)
from inception_loop.report.figures.recording import traces_figure, trials_figure
from inception_loop.report.figures.units import alike
from inception_loop.report.html import data_uri, environment, text
from inception_loop.report.learning.artifact import Learning
from inception_loop.report.learning.page import learning_figures
from inception_loop.report.learning.words import facts, median_units, remarks
from inception_loop.report.pictures import png, stretched
from inception_loop.report.quality_page import QUESTION, scan_parts
from inception_loop.report.summary import TRUTH, TruthNumber

OPEN_CARDS = 12
"""So many units with images are shown at once, the others on request."""


@dataclass(frozen=True)
class Step:
    """One box of the picture of the loop."""

    title: str
    text: str


def render_page(data: ReportData, tables: LoopTables | None = None) -> str:
    """Return the report as HTML.

    Everything is inside: pictures as data URIs, one style sheet, no script. Each number stands in a
    ``<data>`` element whose ``value`` is the number as it was given, unrounded.

    Parameters
    ----------
    data
        What it says.
    tables
        Its closed-loop part, if that was already put together.
    """
    template = environment().get_template("page.html.jinja")
    page = template.render(
        **_context(data, tables or loop_tables(data)),
        style=Markup(text("page.css") + text("loop.css") + text("quality.css")),
    )
    return page.strip() + "\n"


def _context(data: ReportData, tables: LoopTables) -> dict[str, Any]:
    evidence, tests = evidence_by_key(data.evidence), evidence_by_key(data.tests)
    trials = data.own_responses.partition_by("source_unit_id", as_dict=True)
    return {
        "data": data,
        "answer": answer(evidence, tests),
        "statements": statements(evidence, tests),
        "tests": tests_by_comparison(data.tests),
        "next_loops": next_loops(data.power),
        "fewest_units": fewest_units(),
        "compared": {control: " against ".join(compared_names(control)) for control in CONTROLS},
        "rule": RULE,
        "quality_question": QUESTION,
        "evidence": evidence,
        "steps": pipeline(data),
        "figures": figures(data, tables),
        "origins": _Origins(data.origins),
        "chain": _chain(data),
        "learning": data.learning and _learnt(data.learning),
        "truth": [(key, TRUTH[key], data.truth[key]) for key in TRUTH if key in data.truth]
        + [(key, TruthNumber(key), data.truth[key]) for key in data.truth if key not in TRUTH],
        "cards": [_card(unit, trials.get((unit.unit_id,), _NO_TRIALS)) for unit in data.images],
        "open_cards": OPEN_CARDS,
        "colors": COLORS,
        "quality": [part for quality in data.quality for part in scan_parts(quality, folded=True)],
        "trials": data.trials.to_dicts(),
        "scans": data.scans.to_dicts(),
        "lineage": data.lineage.to_dicts(),
        "n_double": int(data.matches["double_match"].sum()),
        "n_matches": data.matches.height,
        "n_later": data.scans.filter(role="later").height,
    }


def pipeline(data: ReportData) -> list[Step]:
    """Return the steps of the loop with what this one holds, counted from its tables."""
    source = data.scans.filter(role="source")
    later = data.scans.filter(role="later")
    models = data.history.select("model", "family").unique()
    selected, others = len(data.selected), sum(unit.hu_rank is None for unit in data.images)
    made = [picture.what for unit in data.images for picture in unit.pictures if picture.what != "truth"]
    images, kinds = len(made), [NAMES[what] for what in PICTURES.values() if what in made]
    by = "place and tuning" if data.matching == "assigned" else "place"
    panel = f", and {others} of known kind" if others else ""
    return [
        Step(
            "Record",
            f"{words.count(int(source['n_units'].sum()), 'cell')}, "
            f"{words.count(int(source['n_trials'].sum()), 'trial')} of natural images",
        ),
        Step(
            "Train",
            f"{words.count(models.filter(family='cnn').height, 'network')} and "
            f"{words.count(models.filter(family='linear').height, 'linear control')}",
        ),
        Step("Select", f"{words.count(selected, 'cell')} by the published rule{panel}"),
        Step("Compute images", f"{words.count(images, 'image')}: {', '.join(kinds)}"),
        Step(
            "Show again",
            f"{words.count(int(later['n_trials'].sum()), 'trial')} "
            f"on {words.count(later.height, 'later day')}",
        ),
        Step(
            "Match cells",
            f"{words.count(data.matches['source_unit_id'].n_unique(), 'cell')} matched by {by}",
        ),
        Step("Compare", "each cell’s answer to each image"),
    ]


def figures(data: ReportData, tables: LoopTables | None = None) -> dict[str, Figure]:
    """Return every figure that the data allow, by name."""
    tables = tables or loop_tables(data)
    found = [drawn.figure for drawn in (*evidence_figures(tables), *matching_figures(tables))]
    if data.trials.height:
        found.append(trials_figure(data.trials))
    if data.traces:
        found.append(traces_figure(data.traces))
    if data.history.height:
        found += [training_figure(data.history), training_figure(data.history, "train_loss")]
    if data.units["oracle_corr"].count():
        found.append(oracle_figure(data.units))
    if data.units["cnn_test_corr"].count():
        found.append(families_figure(data.units))
    if data.funnel.height:
        found.append(funnel_figure(data.funnel))
    learnt = [] if data.learning is None else learning_figures(data.learning)
    return {figure.name: figure for figure in (*learnt, *found)}


def _learnt(learning: Learning) -> dict[str, Any]:
    return {
        "facts": facts(learning),
        "remarks": remarks(learning),
        "medians": median_units(learning),
    }


def tests_by_comparison(tests: pl.DataFrame) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the rows of a table of tests by what they compare; the words lose what the heading says.

    Parameters
    ----------
    tests
        As `table_of_tests` returns it.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in tests.iter_rows(named=True):
        said = row["words"].removeprefix(f"{row['what']}: ")
        found.setdefault(row["what"], []).append(row | {"words": said[:1].upper() + said[1:]})
    return list(found.items())


def _chain(data: ReportData) -> list[dict[str, Any]]:
    """Return the artifacts from a share down to its trials, without the matches that did not count."""
    unused = {"proximity": "assigned_cell_match", "assigned": "best_proximity_cell_match"}[data.matching]
    kinds = [kind for kind in CHAIN if kind != unused]
    return [row for kind in kinds for row in data.lineage.filter(kind=kind).iter_rows(named=True)]


class _Origins:
    """From which artifacts something comes, for the template."""

    def __init__(self, origins: pl.DataFrame) -> None:
        self._rows = origins

    def __call__(self, of: str, name: str) -> list[dict[str, Any]]:
        rows = self._rows.filter(pl.col("of") == of, pl.col("name") == name)
        return rows.unique("digest", maintain_order=True).to_dicts()


@dataclass(frozen=True)
class Card:
    """One unit's images, ready to be shown."""

    unit: UnitImages
    title: str
    pictures: tuple[tuple[UnitPicture, str, str, str], ...]
    trials: Markup | None


_NO_TRIALS = pl.DataFrame(schema={"model_type": pl.String, "z_response": pl.Float64})


def _card(unit: UnitImages, trials: pl.DataFrame) -> Card:
    kind = f", {unit.kind}" if unit.kind else ""
    rank = "truth panel" if unit.hu_rank is None else f"rank {unit.hu_rank}"
    as_shown = [picture for picture in unit.pictures if picture.shown]
    common = dict(
        zip(
            (id(picture) for picture in as_shown),
            alike([np.asarray(p.pixels, np.uint8) for p in as_shown]),
            strict=True,
        )
    )
    shown = tuple(
        (
            picture,
            SHORT[picture.what],
            data_uri("image/png", png(common[id(picture)] if picture.shown else stretched(picture.pixels))),
            f"{NAMES[picture.what]} of unit {unit.unit_id}{_answer_text(picture)}",
        )
        for picture in unit.pictures
    )
    stranger = f" · matched to another cell{_on_days(unit)}" if unit.wrong_days else ""
    return Card(unit, f"Unit {unit.unit_id} · {rank}{kind}{stranger}", shown, strip(trials, unit.unit_id))


def _on_days(unit: UnitImages) -> str:
    """Say on how many of the days on which a unit was matched, where there are several."""
    return f" on {unit.wrong_days} of {unit.judged_days} days" if unit.judged_days > 1 else ""


def _answer_text(picture: UnitPicture) -> str:
    if picture.response is None:
        return ""
    return f"; mean response of its cell {words.number(picture.response)} z"


__all__ = ["figures", "pipeline", "render_page"]

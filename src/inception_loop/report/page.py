"""The report: one HTML file that needs no network, readable on a phone and on paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from inception_loop.closed_loop.matrix import confusion_matrix
from inception_loop.report import words
from inception_loop.report.answer import RULE, answer, evidence_by_key
from inception_loop.report.data import ReportData, UnitImages, UnitPicture
from inception_loop.report.figures.canvas import COLORS, NAMES, Figure
from inception_loop.report.figures.evidence import confusion_figure, diagonal_figure, preference_figure
from inception_loop.report.figures.matching import distance_figure, map_figure, tuning_figure
from inception_loop.report.figures.models import (
    families_figure,
    funnel_figure,
    oracle_figure,
    training_figure,
)
from inception_loop.report.figures.recording import traces_figure, trials_figure
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


def render_page(data: ReportData) -> str:
    """Return the report as HTML.

    Everything is inside: pictures as data URIs, one style sheet, no script. Each number stands in a
    ``<data>`` element whose ``value`` is the number as it was given, unrounded.

    Parameters
    ----------
    data
        What it says.
    """
    template = environment().get_template("page.html.jinja")
    page = template.render(**_context(data), style=Markup(text("page.css") + text("quality.css")))
    return page.strip() + "\n"


def _context(data: ReportData) -> dict[str, Any]:
    evidence = evidence_by_key(data.evidence)
    return {
        "data": data,
        "answer": answer(evidence),
        "rule": RULE,
        "quality_question": QUESTION,
        "evidence": evidence,
        "steps": pipeline(data),
        "figures": figures(data),
        "learning": data.learning and _learnt(data.learning),
        "truth": [(key, TRUTH[key], data.truth[key]) for key in TRUTH if key in data.truth]
        + [(key, TruthNumber(key), data.truth[key]) for key in data.truth if key not in TRUTH],
        "cards": [_card(unit) for unit in data.images],
        "open_cards": OPEN_CARDS,
        "colors": COLORS,
        "quality": [part for quality in data.quality for part in scan_parts(quality, folded=True)],
        "trials": data.trials.to_dicts(),
        "scans": data.scans.to_dicts(),
        "lineage": data.lineage.to_dicts(),
        "n_double": int(data.matches["double_match"].sum()),
        "n_matches": data.matches.height,
    }


def pipeline(data: ReportData) -> list[Step]:
    """Return the steps of the loop with what this one holds, counted from its tables."""
    source = data.scans.filter(role="source")
    later = data.scans.filter(role="later")
    models = data.history.select("model", "family").unique()
    selected, others = len(data.selected), sum(unit.hu_rank is None for unit in data.images)
    images = sum(picture.what != "truth" for unit in data.images for picture in unit.pictures)
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
        Step("Compute images", f"{words.count(images, 'image')}: MEI, linear RF, best natural"),
        Step(
            "Show again",
            f"{words.count(int(later['n_trials'].sum()), 'trial')} "
            f"on {words.count(later.height, 'later day')}",
        ),
        Step("Match cells", f"{words.count(data.matches.height, 'cell')} found again by place"),
        Step("Compare", "each cell’s answer to each image"),
    ]


def figures(data: ReportData) -> dict[str, Figure]:
    """Return every figure that the data allow, by name."""
    selected = data.selected
    found: list[Figure] = []
    for summary, z_scored in ((data.z_summary, True), (data.summary, False)):
        matrix = confusion_matrix(summary, selected)
        if len(matrix.unit_ids) > 1:
            found.append(confusion_figure(matrix, z_scored=z_scored))
    if data.z_summary.height and selected:
        found.append(preference_figure(data.z_summary, selected))
    found += [
        diagonal_figure(rows, control, selected)
        for control, rows in data.z_diagonals.items()
        if rows.height and control in NAMES
    ]
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
    if data.matches.height:
        found += [map_figure(data.matches), distance_figure(data.matches)]
    if data.tuning_match["correlation"].count():
        found.append(tuning_figure(data.tuning_match))
    learnt = [] if data.learning is None else learning_figures(data.learning)
    return {figure.name: figure for figure in (*learnt, *found)}


def _learnt(learning: Learning) -> dict[str, Any]:
    return {
        "facts": facts(learning),
        "remarks": remarks(learning),
        "medians": median_units(learning),
    }


@dataclass(frozen=True)
class Card:
    """One unit's images, ready to be shown."""

    unit: UnitImages
    title: str
    pictures: tuple[tuple[UnitPicture, str, str, str], ...]


def _card(unit: UnitImages) -> Card:
    kind = f", {unit.kind}" if unit.kind else ""
    rank = "truth panel" if unit.hu_rank is None else f"rank {unit.hu_rank}"
    shown = tuple(
        (
            picture,
            NAMES[picture.what],
            data_uri("image/png", png(stretched(picture.pixels))),
            f"{NAMES[picture.what]} of unit {unit.unit_id}{_answer_text(picture)}",
        )
        for picture in unit.pictures
    )
    stranger = " · matched to another cell" if unit.wrong_match else ""
    return Card(unit, f"Unit {unit.unit_id} · {rank}{kind}{stranger}", shown)


def _answer_text(picture: UnitPicture) -> str:
    if picture.response is None:
        return ""
    return f"; mean response of its cell {words.number(picture.response)} z"


__all__ = ["figures", "pipeline", "render_page"]

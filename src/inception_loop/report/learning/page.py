"""The learning report as HTML: a page of its own, and figures of the report of a loop."""

from __future__ import annotations

import polars as pl
from markupsafe import Markup

from inception_loop.report.figures.canvas import Figure
from inception_loop.report.figures.learning import difference_figure, filters_figure, versus_figure
from inception_loop.report.figures.models import against_figure, training_figure
from inception_loop.report.html import environment, text
from inception_loop.report.learning.artifact import Learning
from inception_loop.report.learning.networks import network_rows
from inception_loop.report.learning.units import SIDES, fair_score, is_frozen
from inception_loop.report.learning.words import NAMES, QUESTION, facts, headline, median_units, remarks

SECTIONS = {
    "Learning curves": ("training-val-corr", "training-train-loss"),
    "What each unit’s score is worth": ("ceiling", "oracle"),
    "What the CNN adds to a linear network": ("cnn-linear", "cnn-minus-linear"),
    "What the first layer looks for": ("filters-cnn", "filters-linear"),
}
"""Title → names of the figures under it."""


def render_learning_page(learning: Learning, group_id: int, digest: str = "") -> str:
    """Return the learning report of a group as one HTML page that needs no network.

    Parameters
    ----------
    learning, group_id
        What it says, and of which group.
    digest
        Its own, to be shown.
    """
    drawn = {figure.name: figure for figure in learning_figures(learning)}
    sections = [
        (title, [drawn[name] for name in names if name in drawn]) for title, names in SECTIONS.items()
    ]
    varied, models = network_rows(learning)
    page = (
        environment()
        .get_template("learning.html.jinja")
        .render(
            group_id=group_id,
            question=QUESTION,
            headline=headline(learning),
            facts=facts(learning),
            remarks=remarks(learning),
            sections=[(title, figures) for title, figures in sections if figures],
            medians=median_units(learning),
            varied=varied,
            models=models,
            bad=learning.bad.to_dicts(),
            digest=digest,
            lineage=learning.lineage.to_dicts(),
            versions=learning.versions.to_dicts(),
            style=Markup(text("page.css")),
        )
    )
    return page.strip() + "\n"


def learning_figures(learning: Learning) -> list[Figure]:
    """Return every figure that the data allow."""
    units = learning.units
    found = [training_figure(learning.curves), training_figure(learning.curves, "train_loss")]
    scored = units["cnn_test_corr"].count() + units["lin_test_corr"].count() > 0
    if scored and units["ceiling"].count():
        fair = units.with_columns(
            pl.col(fair_score(units, family)).alias(f"{SIDES[family]}_test_corr") for family in NAMES
        )
        found.append(against_figure(fair, "ceiling", frozen=is_frozen(units)))
    if scored and units["oracle_corr"].count():
        found.append(against_figure(units, "oracle_corr"))
    if units["cnn_minus_linear"].count():
        found += [versus_figure(units), difference_figure(units)]
    for family in NAMES:
        if family in learning.filter_weights:
            norms = learning.filters.filter(family=family).sort("row")["norm"].to_list()
            found.append(filters_figure(family, learning.filter_weights[family], norms))
    return found

"""The learning report as HTML: a page of its own, and figures of the report of a loop."""

from __future__ import annotations

from markupsafe import Markup

from inception_loop.report.figures.canvas import Figure
from inception_loop.report.figures.learning import difference_figure, filters_figure, versus_figure
from inception_loop.report.figures.models import against_figure, training_figure
from inception_loop.report.html import environment, text
from inception_loop.report.learning import Learning
from inception_loop.report.learning_words import NAMES, QUESTION, facts, headline, remarks

SECTIONS = {
    "Learning curves": ("training-val-corr", "training-train-loss"),
    "What each unit’s score is worth": ("ceiling", "oracle"),
    "What the CNN adds to a linear network": ("cnn-linear", "cnn-minus-linear"),
    "What the first layer looks for": ("filters-cnn", "filters-linear"),
}
"""Title → names of the figures under it."""


def render_learning_page(learning: Learning, group_id: int) -> str:
    """Return the learning report of a group as one HTML page that needs no network."""
    drawn = {figure.name: figure for figure in learning_figures(learning)}
    sections = [
        (title, [drawn[name] for name in names if name in drawn]) for title, names in SECTIONS.items()
    ]
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
            models=learning.models.to_dicts(),
            style=Markup(text("page.css")),
        )
    )
    return page.strip() + "\n"


def learning_figures(learning: Learning) -> list[Figure]:
    """Return every figure that the data allow."""
    units = learning.units
    found = [training_figure(learning.curves), training_figure(learning.curves, "train_loss")]
    scored = units["cnn_test_corr"].count() + units["lin_test_corr"].count() > 0
    found += [against_figure(units, limit) for limit in ("ceiling", "oracle_corr")
              if scored and units[limit].count()]  # fmt: skip
    if units["cnn_minus_linear"].count():
        found += [versus_figure(units), difference_figure(units)]
    for family in NAMES:
        if family in learning.filter_weights:
            norms = learning.filters.filter(family=family).sort("row")["norm"].to_list()
            found.append(filters_figure(family, learning.filter_weights[family], norms))
    return found

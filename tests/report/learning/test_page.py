"""The learning report as a person has it: whole, offline, numbers as they were given, 64 curves readable."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.report.figures.learning import difference_figure, filters_figure, mosaic, versus_figure
from inception_loop.report.figures.models import against_figure, best_model, training_figure
from inception_loop.report.learning.networks import network_rows
from inception_loop.report.learning.page import SECTIONS, learning_figures, render_learning_page
from inception_loop.report.learning.words import facts, headline, learning_lines, markdown, remarks
from inception_loop.report.page import figures, render_page


@pytest.fixture(scope="module")
def html(learning):
    return render_learning_page(learning, 3)


def test_the_page_is_whole_and_loads_nothing(html, learning, read_page):
    page = read_page(html)
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "embed", "base"} & page.tags
    assert all(link.startswith("data:image/") for link in page.links)
    assert not re.search(r"https?://(?!www\.w3\.org)", html)
    assert len(html) < 2e6
    assert render_learning_page(learning, 3) == html


def test_every_figure_stands_once_with_numbers_in_its_alt_n_and_what_a_bad_one_is(html, learning, read_page):
    drawn = learning_figures(learning)
    assert {figure.name for figure in drawn} == {name for names in SECTIONS.values() for name in names}
    alts = [image["alt"] for image in read_page(html).images]
    assert sorted(alts) == sorted(figure.alt for figure in drawn)
    for figure in drawn:
        assert re.search(r"\d", figure.alt)
        assert figure.caption.startswith("n = ")
        assert figure.bad.endswith(".")
        assert figure.bad in html
        assert ET.fromstring(figure.svg).tag.endswith("svg")


def test_every_number_stands_there_unrounded(html, learning, read_page):
    page = read_page(html)
    for fact in facts(learning):
        assert (repr(fact.value), fact.shown) in page.of(fact.key)
    values = {float(value) for value, _ in page.of("val_corr")}
    assert values == set(learning.models["val_corr"])


def test_numbers_are_those_of_the_tables(learning):
    known = {fact.key: fact.value for fact in facts(learning)}
    units = learning.units
    assert known["val_corr_cnn"] == learning.models.filter("best", family="cnn")["val_corr"].item()
    shares = units["lin_fraction_ceiling"].drop_nulls().to_numpy()
    assert known["median_fraction_ceiling_linear"] == np.median(shares)
    both = units.drop_nulls("cnn_minus_linear")
    assert known["cnn_better_share"] == pytest.approx((both["cnn_test_corr"] > both["lin_test_corr"]).mean())


def test_units_without_a_ceiling_are_counted(learning):
    missing = learning.units["ceiling"].null_count()
    assert missing > 0
    assert f"{missing} without a ceiling are left out" in against_figure(learning.units, "ceiling").caption
    assert any(f"{missing} of 420 units have no ceiling" in text for text in remarks(learning))


def test_all_64_curves_are_drawn_and_the_best_of_each_family_stands_out(learning):
    figure = training_figure(learning.curves)
    assert "n = 64 networks" in figure.caption
    widths = [float(width) for width in re.findall(rb"stroke-width: ([0-9.]+)", figure.svg)]
    assert sum(width == 2.4 for width in widths) == 2 + 2  # two curves and two entries of the legend
    assert sum(width == 0.6 for width in widths) == 62
    for family in ("cnn", "linear"):
        rows = learning.curves.filter(family=family)
        assert best_model(rows) == learning.models.filter("best", family=family)["model"].item()


def test_a_ring_marks_each_change_of_the_learning_rate(learning):
    few = learning.curves.filter(pl.col("model").is_in(learning.models["model"].head(3).implode()))
    constant = few.with_columns(stage=pl.lit(0, pl.Int64))
    rings = [training_figure(curves).svg.count(b"<use") for curves in (few, constant)]
    assert rings[0] - rings[1] == 3


def test_kernels_share_one_scale_about_zero_and_lie_in_rows(learning):
    kernels = learning.filter_weights["cnn"]
    laid = mosaic(kernels, 8)
    assert laid.shape == (4 * 15, 8 * 15)
    np.testing.assert_array_equal(laid[15:30, 30:45], kernels[10])
    assert np.isnan(mosaic(kernels[:3], 2)[15:, 15:]).all()
    figure = filters_figure("cnn", kernels, learning.filters.filter(family="cnn")["norm"].to_list())
    limit = np.abs(kernels).max()
    assert f"−{limit:.3f} to {limit:.3f}" in figure.alt


def test_the_scatter_and_the_histogram_count_the_units_that_the_cnn_predicts_better(learning):
    rows = learning.units.drop_nulls("cnn_minus_linear")
    above = rows.filter(pl.col("cnn_minus_linear") > 0).height
    assert f"{above} (" in versus_figure(learning.units).alt
    assert f"median {rows['cnn_minus_linear'].median():.3f}" in difference_figure(learning.units).alt


def test_one_unit_or_units_all_alike_can_be_drawn(learning):
    one = learning.units.drop_nulls()[:1]
    for units in (one, pl.concat([one] * 3).with_columns(cnn_minus_linear=pl.lit(0.0))):
        assert difference_figure(units).svg
        assert versus_figure(units).svg
        assert against_figure(units, "ceiling").svg
    assert filters_figure("cnn", np.zeros((1, 3, 3)), [0.0]).svg


def test_without_ceiling_or_control_the_page_says_what_it_can(make_learning, read_page):
    poor = make_learning(configurations=1, seeds=2, ceiling=False, linear=False)
    html = render_learning_page(poor, 0)
    text = "".join(read_page(html).text)
    assert headline(poor).startswith("The median unit’s test trials are predicted at a correlation of")
    assert "older than the ceiling" in text
    assert "nan" not in text.lower().split()
    assert {figure.name for figure in learning_figures(poor)} == {
        "training-val-corr",
        "training-train-loss",
        "oracle",
        "filters-cnn",
    }
    unscored = replace(poor, units=poor.units[:0], scored=poor.scored[:0])
    assert headline(unscored).startswith("The best validation correlation is 0.")
    assert "No model is scored." in remarks(unscored)


def test_networks_that_were_still_improving_are_counted(learning):
    assert not any("last epoch" in text for text in remarks(learning))
    late = pl.when(pl.int_range(pl.len()) < 5).then("epochs").otherwise("best_epoch")
    rising = replace(learning, models=learning.models.with_columns(best_epoch=late))
    assert "5 of 64 networks were at their best in their last epoch" in " ".join(remarks(rising))


def test_each_of_64_networks_can_be_told_from_the_others_by_what_the_table_shows(learning, html):
    names, rows = network_rows(learning)
    assert names == ["gamma_input", "gamma_hidden", "downsample"]
    assert len({(row["core"], *row["varied"], row["seed"]) for row in rows}) == 64
    assert learning.models["label"].n_unique() == 64
    for name in names:
        assert f'<th class="num">{name}</th>' in html
        assert html.count(f'data-label="{name}"') == 64
    assert all(digest[:12] in html for digest in learning.models["model"])


def test_networks_receptive_fields_and_ceiling_stand_side_by_side(learning, html, read_page):
    page = read_page(html)
    units = learning.units
    for key, column in (
        ("median_cnn_test_corr", "cnn_test_corr"),
        ("median_lin_alone", "lin_frozen_test_corr"),
        ("median_rf_alone", "rf_test_corr"),
        ("median_rf_share", "rf_fraction_ceiling"),
        ("median_ceiling_alone", "ceiling"),
    ):
        ((value, _),) = page.of(key)
        assert float(value) == np.median(units[column].drop_nulls().to_numpy())
    assert "linear receptive fields, fitted to the responses alone" in versus_figure(units).caption


def test_without_frozen_scores_shares_are_of_recorded_ones_and_the_page_says_so(make_learning):
    poor = make_learning(configurations=1, seeds=1, frozen=False)
    assert "may exceed it" in " ".join(remarks(poor))
    drawn = {figure.name: figure for figure in learning_figures(poor)}
    assert "may reach more" in drawn["ceiling"].caption
    assert "receptive" not in drawn["cnn-linear"].caption
    rich = {figure.name: figure for figure in learning_figures(make_learning(configurations=1, seeds=1))}
    assert "told the mean eye and running" in rich["ceiling"].caption


def test_what_cannot_be_trained_is_said_everywhere(learning, html):
    (what, reason) = learning.bad.select("what", "reason").row(0)
    line = f"{what} cannot be trained: {reason}"
    assert f"- {line}" in markdown(learning)
    assert f"  {line}" in learning_lines(learning)
    assert f"<b>{what}</b> cannot be trained: {reason}" in html


def test_words_for_prefect_and_a_terminal_begin_with_the_answer(learning):
    text = markdown(learning, "see it there")
    assert text.splitlines()[:3] == [f"# {headline(learning)}", "", "see it there"]
    lines = learning_lines(learning)
    assert lines[0] == headline(learning)
    for fact in facts(learning):
        assert f"| {fact.shown} | {fact.what} |" in text
        assert any(fact.shown in line and fact.what in line for line in lines)


def test_the_report_of_a_loop_has_a_part_on_how_the_networks_learnt(data, learning, read_page):
    html = render_page(replace(data, learning=learning))
    page = read_page(html)
    assert page.open == []
    assert "How the networks learnt" in html
    drawn = figures(replace(data, learning=learning))
    assert {"ceiling", "cnn-linear", "cnn-minus-linear", "filters-cnn", "filters-linear"} <= set(drawn)
    assert drawn["oracle"].alt == figures(data)["oracle"].alt
    for fact in facts(learning):
        assert (repr(fact.value), fact.shown) in page.of(fact.key)
    assert len(re.findall(r'id="([^"]+)"', html)) == len(set(re.findall(r'id="([^"]+)"', html)))


def test_the_headline_promises_no_share_of_a_ceiling_that_eye_and_running_lift(learning):
    medians = [learning.units[name].median() for name in ("cnn_test_corr", "lin_test_corr", "ceiling")]
    cnn, linear, ceiling = (f"{value:.2f}" for value in medians)
    assert headline(learning).endswith(
        f"of {cnn} with the CNN and {linear} with the linear control; an image alone allows {ceiling}."
    )

from dataclasses import replace

import polars as pl
import pytest

from inception_loop.report import words
from inception_loop.report.page import figures, pipeline, render_page
from inception_loop.report.summary import TRUTH


@pytest.fixture(scope="module")
def html(data):
    return render_page(data)


@pytest.fixture(scope="module")
def page(html, read_page):
    return read_page(html)


def test_nothing_is_loaded_from_elsewhere(html, page):
    assert not {"script", "link", "iframe", "object", "embed", "base"} & page.tags
    inner = {link[1:] for link in page.links if link.startswith("#")}
    assert inner
    assert inner <= page.anchors
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert page.open == []


def test_it_stays_small_even_with_150_cells(make_data):
    assert len(render_page(make_data(n_selected=150))) < 10e6


def test_every_picture_says_what_it_shows(page, data):
    assert len(page.images) == len(figures(data)) + sum(len(unit.pictures) for unit in data.images)
    for image in page.images:
        assert len(image["alt"]) > 8
    alts = [image["alt"] for image in page.images]
    assert len(set(alts)) == len(alts)


def test_every_unit_has_its_trials_with_a_description(page, data):
    assert len(page.drawings) == len(data.images)
    for drawing, unit in zip(page.drawings, data.images, strict=True):
        assert drawing["role"] == "img"
        assert f"unit {unit.unit_id}," in drawing["aria-label"]
        mei = next(picture for picture in unit.pictures if picture.what == "mei")
        assert f"MEI {words.number(mei.response)} ± " in drawing["aria-label"]
        assert "(20 trials)" in drawing["aria-label"]


def test_every_test_stands_in_words_with_what_it_takes_for_granted(page, data):
    text = "".join(page.text)
    for row in data.tests.iter_rows(named=True):
        assert row["words"].removeprefix(f"{row['what']}: ")[1:] in text
        assert row["assumptions"] in text
        if row["value"] is not None:
            assert {float(value) for value, _ in page.of(f"test-{row['key']}")} == {row["value"]}


def test_what_could_not_be_compared_is_said(page):
    assert "no match for 1 of 42 units with images (7)" in "".join(page.text)


def test_a_number_a_figure_and_the_tests_name_their_artifacts(html):
    for name in ('From <a href="#a-' + f"{digest:064x}" for digest in (0, 3)):
        assert name in html


def test_every_share_stands_there_as_it_was_given(page, data):
    for key, value in data.evidence.select("key", "value").rows():
        found = page.of(key)
        if value is None:
            assert not found, key
            continue
        assert found, key
        assert {float(number) for number, _ in found} == {value}


def test_numbers_are_rounded_as_words_say(page, data):
    values = dict(data.evidence.select("key", "value").rows())
    share = values["own_mei_over_own_rf_share"]
    assert {text for _, text in page.of("own_mei_over_own_rf_share")} == {
        words.percent(share),
        f"{share:.3f}",
    }
    assert {text for _, text in page.of("diagonal_p_value")} == {words.p_value(values["diagonal_p_value"])}


def test_every_number_of_the_truth_stands_with_its_n_and_bound(page, data):
    text = "".join(page.text)
    for key, measured in data.truth.items():
        assert (repr(measured.value), words.number(measured.value, 3)) in page.of(key)
        assert TRUTH[key].label in text
        assert TRUTH[key].bound in text
    assert "✗ missed" in text  # the made-up cosine is below its bound


def test_every_response_of_a_unit_is_the_one_given(page, data):
    given = {
        repr(picture.response)
        for unit in data.images
        for picture in unit.pictures
        if picture.response is not None
    }
    assert {value for key, value, _ in page.numbers if key == "response"} == given


def test_counts_come_from_the_tables(data):
    texts = {step.title: step.text for step in pipeline(data)}
    assert texts["Record"] == "420 cells, 3,120 trials of natural images"
    assert texts["Train"] == "2 networks and 2 linear controls"
    assert texts["Select"] == "21 cells by the published rule, and 20 of known kind"
    assert texts["Compute images"].startswith("123 images")
    assert texts["Match cells"] == "41 cells matched by place"


def test_tables_hold_every_row_of_trials_lineage_settings_and_versions(page, data):
    text = "".join(page.text)
    for fate in data.trials["fate"]:
        assert fate in text
    for digest in data.lineage["digest"]:
        assert digest in text
    settings = [pair for part in data.settings.values() for pair in part.items()]
    for name, value in [*settings, *data.versions.items()]:
        assert name in text
        assert value in text


def test_units_known_to_be_matched_to_another_cell_are_marked(page, data):
    marked = "".join(page.text).count("matched to another cell")
    assert marked == sum(unit.wrong_days > 0 for unit in data.images) > 0


def test_a_wrong_match_says_on_how_many_days(data, read_page):
    days = replace(data.images[0], wrong_days=1, judged_days=3)
    text = "".join(read_page(render_page(replace(data, images=(days, *data.images[1:])))).text)
    assert f"Unit {days.unit_id} · rank 0" in text
    assert text.count("matched to another cell on 1 of 3 days") == 1


def test_a_match_is_not_called_found_again(page):
    text = "".join(page.text)
    assert "found again" not in text
    assert "selected cells were matched and shown every MEI" in text


def test_families_that_are_corrected_apart_are_named(page):
    assert "masked MEIs and the truth panel are corrected apart" in "".join(page.text)


def test_the_same_data_give_the_same_page(html, data):
    assert render_page(data) == html


def test_what_is_not_known_is_left_out_not_invented(bare, read_page):
    page = read_page(render_page(bare))
    text = "".join(page.text)
    assert "Open: too few selected cells" in text
    assert "Judged by the animal’s known answers" not in text
    assert page.images == []
    assert "nan" not in text.lower().split()


def test_text_from_outside_is_escaped(bare, read_page):
    hostile = replace(
        bare,
        animal_note="<script>alert(1)</script>",
        settings={"<b>part</b>": {"<i>name</i>": "a & b"}},
        trials=pl.DataFrame({"scan": ["1-1-1"], "fate": ["<img src=x>"], "n": [3]}),
    )
    page = read_page(render_page(hostile))
    assert "script" not in page.tags
    assert "<img src=x>" in "".join(page.text)


def test_a_loop_that_shows_nothing_says_so(bare, make_data, read_page):
    page = read_page(render_page(replace(bare, evidence=make_data(own=0.02, seed=5).evidence)))
    assert "This loop has not shown it." in "".join(page.text)


def test_what_the_later_day_was_used_for_depends_on_the_rule_of_the_matches(html, data):
    assert "nor were its responses used to match cells" in html
    assigned = render_page(replace(data, matching="assigned"))
    assert "nor were its responses used to match cells" not in assigned
    assert "Its responses were used to match cells" in assigned


def test_matches_of_several_days_are_called_pairs_of_cell_and_day(html, data):
    later = data.scans.filter(role="later")
    more = render_page(replace(data, scans=pl.concat([data.scans, later.head(1)])))
    pairs = "pairs of a cell and a later day on which it is present"
    assert (pairs in more, pairs in html) == (True, later.height > 1)

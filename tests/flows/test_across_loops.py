"""Several loops as a stage: by number or by evidence, from a file, with a page and its data as files."""

import json

import polars as pl
import pytest

from inception_loop.artifacts.store import open_store


@pytest.fixture(scope="module")
def made(tmp_path_factory, loops):
    """A store with four loops of three animals; one loop has two evidences."""
    uri = f"file://{tmp_path_factory.mktemp('across')}/store"
    store = open_store(uri)
    refs = [loops.make_loop(store, group, 1 + group) for group in (0, 1)]
    refs.append(loops.make_loop(store, 2, 2, session=5))
    refs.append(loops.make_loop(store, 2, 2, session=5, seed=1))
    return uri, refs


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    path = tmp_path_factory.mktemp("toml") / "across.toml"
    path.write_text("loop_groups = [0, 1]\nn_permutations = 999\n")
    return path


def test_the_stage_says_what_the_loops_show_and_the_report_can_be_written(made, toml, call, tmp_path):
    uri, refs = made
    said = call("run", "across-loops", "--config", toml, "--store", uri)
    assert said.status == 0, said.err
    assert "own MEI against own RF image: wins in 2 of 2 loops, loses in 0 (q ≤ 0.05)" in said.out
    assert "own MEI against own RF image, 2 loops together: mean difference" in said.out
    assert "there are 2 animals; expected at least 5" in said.out
    digest = said.out.partition("see it: inception-loop report --loops ")[2].split()[0]
    written = call("report", digest, "--loops", "--output", tmp_path / "out", "--store", uri)
    assert written.status == 0, written.err
    page = (tmp_path / "out" / "loops_report.html").read_text()
    assert page.count("<img ") == page.count('alt="') == 4
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert refs[0].digest in page
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert {"figures/loops-forest.svg", "figures/loops-cnn-linear.png", "data/units.csv"} <= names
    table = pl.read_parquet(tmp_path / "out" / "data" / "loops_evidence.parquet")
    assert table["loop"].drop_nulls().unique().sort().to_list() == ["0", "1"]
    newest = call("report", "--loops", "--json", "--output", tmp_path / "again", "--store", uri)
    assert json.loads(newest.out)["headline"].endswith(
        "(q ≤ 0.05); these are 2 animals: no statement about animals"
    )
    again = call("run", "across-loops", "--config", toml, "--store", uri)
    assert "across_loops: 0 computed, 2 already there" in again.out


def test_a_loop_with_two_evidences_is_named_by_the_one_that_counts(made, call):
    uri, refs = made
    asked = ("run", "across-loops", "--store", uri)
    both = call(*asked, "--set", "loop_groups=[0, 2]")
    assert both.status == 2
    assert "loop 2 has 2 evidences" in both.err.splitlines()[-1]
    named = call(*asked, "--set", "loop_groups=[0]", "--set", f'evidence=["evidence/{refs[3].digest[:12]}"]')
    assert named.status == 0, named.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("loop_groups=[0]", "fewer than two loops are given; expected several, as loop_groups = [0, 1]"),
        ("loop_groups=[0, 0]", "loop_groups names a loop twice; expected each loop once"),
        ("loop_groups=[0, 7]", "no evidence of loop 7; run stage closed-loop for it first"),
        ("loop_groups=[0, -1]", "loop_groups.1 is -1; expected greater than or equal to 0"),
        ('controls=["rf"]', "controls.0 is 'rf'; expected"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(made, call, given, said):
    found = call("run", "across-loops", "--store", made[0], "--set", given)
    assert found.status in (1, 2)
    assert said in found.err.splitlines()[-1]


def test_the_example_names_loops_by_number(call):
    shown = call("run", "across-loops", "--print-example")
    assert "loop_groups = [\n    0,\n    1,\n    2,\n]" in shown.out
    assert 'evidence = ["evidence/0123abcd"]' in shown.out

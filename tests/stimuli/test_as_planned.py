"""What a rig did otherwise than planned is counted and said, each thing by its own words."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.stimuli.as_planned import beside_plan

PLANNED = [3, 0, 1, 2, 0, 3, 2, 1] * 3
NAMES = pl.DataFrame(
    {
        "image_row": [0, 1, 2, 3, 4, 0],
        "image_class": ["mei", "mei", "natural", "blank", "mei", "rf"],
        "image_id": [4, 5, 77, 0, 6, 9],
        "model_type": ["cnn", "cnn", "oracle", "blank", "cnn", "linear"],
    }
)


def beside(shown):
    return beside_plan(shown, PLANNED, NAMES)


def test_a_session_as_planned_has_no_words():
    found = beside(PLANNED)
    assert (found.order, found.words) == ("as planned", [])
    assert (found.n_planned, found.n_trials) == (24, 24)


@pytest.mark.parametrize(
    ("shown", "order", "words"),
    [
        (
            PLANNED[:20],
            "stopped early",
            ["the session ends after trial 20 of 24, so far in the planned order"],
        ),
        (
            PLANNED[:4] + PLANNED[5:],
            "trials missing",
            ["planned trials that are missing: 1 of 24, first trial 5"],
        ),
        (
            [*PLANNED[:3], 4, *PLANNED[3:]],
            "trials added",
            ["trials on top of the 24 planned: 1, the first is trial 4"],
        ),
        (PLANNED[::-1], "other", ["another order than planned from trial 1 on (24 trials, 24 planned)"]),
        ([], "stopped early", ["after trial 0 of 24"]),
    ],
    ids=["end", "gap", "extra", "reversed", "nothing"],
)
def test_how_the_order_differs_is_said(shown, order, words):
    found = beside(shown)
    assert found.order == order
    for part in words:
        assert any(part in line for line in found.words)


def test_images_are_counted_and_named():
    found = beside([*(row for row in PLANNED[:-2] if row != 1), 4, 3])
    assert found.words[:4] == [
        "shown fewer times than planned: 1 image, natural 77 (5 of 6)",
        "not shown at all: 1 image, mei 5 (0 of 6)",
        "shown more often than planned: 1 image, blank 0 (7 of 6)",
        "shown but not in the plan: 1 image, mei 6 (1 of 0)",
    ]
    assert (found.findings()["n_fewer"], found.findings()["n_extra"]) == (1, 1)


def test_oracle_images_that_came_out_too_rare_are_said():
    assert not any("oracle" in line for line in beside(PLANNED[:-2]).words)  # 5 of 6 times will do
    assert "1 of 1 oracle images shown fewer than 5 times" in beside(PLANNED[:-6]).words[-1]


def test_of_many_images_some_are_named():
    names = pl.DataFrame({"image_row": range(40), "image_class": "mei", "image_id": range(40)})
    (line, _) = beside_plan([], list(range(40)), names).words
    assert line.startswith("not shown at all: 40 images, mei 0 (0 of 1), ")
    assert line.endswith(", 35 more")


rows = st.lists(st.integers(0, 4), max_size=12)


@given(rows, rows)
def test_counts_and_order_are_those_of_the_slow_obvious_way(shown, planned):
    found = beside_plan(shown, planned, NAMES)
    parts = [set(part) for part in (found.fewer, found.missing, found.more, found.extra)]
    differ = {row for row in range(5) if Counter(shown)[row] != Counter(planned)[row]}
    assert set.union(*parts) == differ
    assert sum(map(len, parts)) == len(differ)
    assert (found.order == "as planned") == (shown == planned)
    assert (found.words == []) == (shown == planned)
    if found.order == "trials missing":  # what is missing can be put back
        assert len(shown) < len(planned)
        assert not (Counter(shown) - Counter(planned))

"""Numbers of images and what makes a stimulus set filled twice."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import DataError
from inception_loop.stimuli.conditions import NUMBERED, arrange, gathered
from inception_loop.stimuli.config import StimulusConfig

CONFIG = StimulusConfig(repeats=2)
ROWS = {"condition_hash": pl.String, "image_class": pl.String, "image_id": pl.Int64, "source_id": pl.String}
CLASSED = st.tuples(st.sampled_from("abcdefghij"), st.sampled_from(["mei", "rf"]))


def rows(*classed, ids=None):
    hashes, classes = zip(*classed, strict=True)
    given_ids = [None] * len(hashes) if ids is None else ids
    none = [None] * len(hashes)
    return pl.DataFrame(dict(zip(ROWS, (hashes, classes, given_ids, none), strict=True)), schema=ROWS)


def fill(image_class, units, name="scan"):
    return pl.DataFrame({"image_class": image_class, "name": name, "unit_id": list(units)})


def test_fills_of_other_classes_or_other_units_stand_side_by_side():
    both = [("a", fill("mei", [1, 2])), ("b", fill("rf", [1, 2])), ("c", fill("mei", [1], "other"))]
    assert gathered(both).height == 5
    nine = pl.concat([fill("mei", [1])] * 9)
    assert gathered([("a", nine)]).height == 9


def test_a_fill_that_is_given_twice_is_refused():
    with pytest.raises(DataError, match="a stimulus set filled twice: a is given 2 times"):
        gathered([("a", fill("mei", [1])), ("a", fill("mei", [1]))])


def test_images_of_one_class_for_a_unit_from_two_fills_are_refused():
    with pytest.raises(
        DataError,
        match="filled twice: unit 2 of scan has images of class mei in a and in b; expected them in one",
    ):
        gathered([("a", fill("mei", [1, 2])), ("b", fill("mei", [2, 3]))])


@settings(max_examples=50)
@given(st.lists(CLASSED, min_size=2, max_size=12).filter(lambda some: len({h for h, _ in some}) > 1))
def test_numbers_of_a_class_are_consecutive_in_order_of_appearance_and_equal_images_share_one(classed):
    found = arrange(rows(*classed), CONFIG).conditions
    for image_class in {name for _, name in classed}:
        mine = found.filter(image_class=image_class)
        firsts = list(dict.fromkeys(mine["condition_hash"]))
        assert mine["image_id"].to_list() == [firsts.index(digest) for digest in mine["condition_hash"]]
    order = list(dict.fromkeys(digest for digest, _ in classed))
    assert found["image_row"].to_list() == [order.index(digest) for digest, _ in classed]


@settings(max_examples=50)
@given(
    st.lists(CLASSED, min_size=2, max_size=8, unique=True),
    st.lists(CLASSED, min_size=2, max_size=8, unique=True),
)
def test_numbers_go_on_after_an_earlier_set_and_its_images_keep_theirs(first, second):
    def arranged(classed, used=None):
        blank = [("blank", "blank")]  # so that there are two images to show
        return arrange(rows(*classed, *blank), CONFIG, used).conditions.select(list(NUMBERED))

    earlier = arranged(first)
    later = arranged(second, earlier)
    one_number = pl.concat([earlier, later]).unique()
    assert not one_number.select("image_class", "condition_hash").is_duplicated().any()
    assert not one_number.select("image_class", "image_id").is_duplicated().any()
    for (_,), ids in one_number.group_by("image_class"):
        assert sorted(ids["image_id"]) == list(range(ids.height))


def test_numbers_that_images_have_stay_and_new_ones_come_after_them():
    some = rows(("x", "natural"), ("y", "natural"), ("z", "natural"), ids=[None, 7, None])
    assert arrange(some, CONFIG).conditions["image_id"].to_list() == [8, 7, 9]


def test_images_without_a_source_are_their_own():
    some = rows(("x", "mei"), ("y", "mei")).with_columns(source_id=pl.Series(["photo", None]))
    assert arrange(some, CONFIG).conditions["source_id"].to_list() == ["photo", "mei-1"]


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_each_block_shows_each_image_once_and_the_blank_as_often_as_told(n, blanks, shared):
    some = [(f"h{k}", "mei") for k in range(n)] + [("h0" if shared and n > 1 else "grey", "blank")]
    config = CONFIG.model_copy(update={"blanks": min(blanks, len(set(some)) - 1 - (shared and n > 1) or 1)})
    found = arrange(rows(*some), config)
    times = found.trials.group_by("block", "condition_hash").len()
    assert set(times.filter(pl.col("condition_hash") != some[-1][0])["len"]) <= {1}
    assert set(times.filter(condition_hash=some[-1][0])["len"]) == {config.blanks}
    shown = found.conditions["image_row"].to_numpy()[found.trials["condition_row"].to_numpy()]
    assert (np.diff(shown) != 0).all()
    assert found.trials["condition_row"].is_in(found.first.tolist()).all()

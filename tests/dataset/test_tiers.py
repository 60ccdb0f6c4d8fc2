from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.dataset import tiers as rules
from inception_loop.dataset.config import Tiers
from inception_loop.dataset.drawing import FROM_GIVEN, draw, keyed_hash
from inception_loop.dataset.tiers import assign_tiers, shown_conditions
from inception_loop.errors import DataError


def scan(ids, *, shown=None, sources=None, image_class="imagenet", tier=None):
    n = len(ids)
    classes = [image_class] * n if isinstance(image_class, str) else image_class
    return pl.DataFrame(
        {
            "condition_hash": [f"{c}-{i}" for c, i in zip(classes, ids, strict=True)],
            "image_class": classes,
            "image_id": list(ids),
            "source_id": list(sources) if sources is not None else [""] * n,
            "n_shown": list(shown) if shown is not None else [1] * n,
            "tier": tier if tier is not None else [None] * n,
        },
        schema_overrides={
            "tier": pl.String,
            "image_id": pl.Int64,
            "n_shown": pl.Int64,
            "source_id": pl.String,
        },
    )


def by_id(table):
    return dict(zip(table["image_id"], table["tier"], strict=True))


def test_repeated_images_are_test_and_a_tenth_of_the_others_rounded_up_is_validation():
    table = assign_tiers([scan(range(105), shown=[2] * 4 + [1] * 101)], Tiers())
    assert by_id(table.filter(tier="test")).keys() == {0, 1, 2, 3}
    assert table.filter(tier="validation").height == math.ceil(10.1)
    assert table.filter(tier="train").height == 101 - 11


def test_validation_holds_the_lowest_keyed_hashes():
    config = Tiers(key="k")
    table = assign_tiers([scan(range(40), shown=[3] + [1] * 39)], config)
    order = sorted(range(1, 40), key=lambda i: keyed_hash(f"image/imagenet/{i}", "k"))
    assert set(table.filter(tier="validation")["image_id"]) == set(order[:4])


def test_another_key_draws_other_images():
    scans = [scan(range(200), shown=[2] + [1] * 199)]
    assert not assign_tiers(scans, Tiers(key="a")).equals(assign_tiers(scans, Tiers(key="b")))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_tiers_do_not_depend_on_the_order_of_scans_or_rows(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    scans = []
    for _ in range(data.draw(st.integers(1, 4))):
        ids = rng.choice(60, size=40, replace=False)
        scans.append(
            scan(
                ids.tolist(),
                shown=(1 + (rng.random(40) < 0.05)).tolist(),
                sources=[f"s{i // 2}" for i in ids],
            )
        )
    want = assign_tiers(scans, Tiers())
    order = data.draw(st.permutations(scans))
    shuffled = [s.sample(fraction=1, shuffle=True, seed=int(rng.integers(10**6))) for s in order]
    assert assign_tiers(shuffled, Tiers()).equals(want)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_all_images_of_a_source_share_one_tier(seed):
    rng = np.random.default_rng(seed)
    sources = [f"s{k}" for k in rng.integers(0, 25, size=150)]
    table = assign_tiers([scan(range(150), shown=1 + (rng.random(150) < 0.02), sources=sources)], Tiers())
    assert table.group_by("source_id").agg(pl.col("tier").n_unique())["tier"].max() == 1
    left = table.filter(pl.col("tier") != "test").height
    validation = table.filter(tier="validation").height
    assert math.ceil(0.1 * left) <= validation <= 3 * math.ceil(0.1 * left)


def test_an_image_repeated_in_one_scan_is_test_in_all():
    first = scan(range(20), shown=[2] + [1] * 19)
    second = scan(range(10, 40), shown=[5] + [1] * 29)
    assert by_id(assign_tiers([first], Tiers()))[10] != "test"
    assert by_id(assign_tiers([first, second], Tiers()))[10] == "test"


def test_kin_of_a_repeated_image_is_test_and_says_why():
    table = assign_tiers([scan(range(6), shown=[2, 1, 1, 1, 1, 1], sources=list("aabcde"))], Tiers())
    assert by_id(table)[1] == "test"
    assert table.filter(image_id=1)["reason"].item() == rules.KIN
    assert table.filter(image_id=0)["reason"].item() == rules.REPEATED


def test_same_pixels_under_two_ids_share_a_tier():
    first = scan(range(10), shown=[2] + [1] * 9)
    twin = first.filter(image_id=0).with_columns(image_id=pl.lit(99, pl.Int64), n_shown=pl.lit(1, pl.Int64))
    assert by_id(assign_tiers([first, twin], Tiers()))[0] == "test"


def test_tiers_given_by_the_recording_win():
    given = ["train", "validation", "test", None]
    table = assign_tiers([scan(range(4), shown=[3, 1, 1, 1], sources=list("abcb"), tier=given)], Tiers())
    assert by_id(table) == {0: "train", 1: "validation", 2: "test", 3: "validation"}
    assert table["reason"].to_list() == [rules.GIVEN] * 3 + [rules.KIN]


def test_a_tier_of_another_name_is_refused():
    with pytest.raises(DataError, match="'final'"):
        assign_tiers([scan([1], tier=["final"])], Tiers())


def test_without_repeats_a_fraction_is_drawn_or_refused():
    table = assign_tiers([scan(range(100))], Tiers())
    assert table.filter(tier="test").height == 10
    assert table.filter(tier="validation").height == 9
    with pytest.raises(DataError, match="no_repeats"):
        assign_tiers([scan(range(100))], Tiers(no_repeats="refuse"))


def test_fewer_repeats_than_asked_for_are_test_beside_a_drawn_fraction():
    twice = scan(range(100), shown=[2, 2] + [1] * 98)
    assert assign_tiers([twice], Tiers()).filter(tier="test")["image_id"].sort().to_list() == [0, 1]
    assert assign_tiers([twice], Tiers(least_repeated=2)).equals(assign_tiers([twice], Tiers()))
    filled = assign_tiers([twice], Tiers(least_repeated=3))
    assert filled.filter(tier="test", reason=rules.REPEATED)["image_id"].sort().to_list() == [0, 1]
    assert filled.filter(tier="test", reason=rules.DRAWN).height == 10
    with pytest.raises(DataError, match="2 images shown repeatedly"):
        assign_tiers([twice], Tiers(least_repeated=3, no_repeats="refuse"))
    given_test = scan(range(100), shown=[2] + [1] * 99, tier=[None, "test"] + [None] * 98)
    assert assign_tiers([given_test], Tiers(least_repeated=3)).filter(tier="test").height == 2


def test_synthesised_images_and_closed_loop_scans_have_no_tier():
    natural = scan(range(30), shown=[2] + [1] * 29)
    later = scan([0, 3, 50, 7], shown=[9, 9, 9, 9], image_class=["imagenet"] * 3 + ["multi_cnn_mei"])
    table = assign_tiers([natural, later], Tiers())
    assert table.filter(image_class="multi_cnn_mei")["tier"].item() == "none"
    assert table.filter(image_class="multi_cnn_mei")["reason"].item() == rules.SYNTHESISED
    assert by_id(table.filter(image_class="imagenet"))[50] == "none"
    assert table.filter(image_id=50)["reason"].item() == rules.CLOSED_LOOP
    alone = assign_tiers([natural], Tiers())
    assert table.filter(pl.col("tier") != "none").equals(alone)  # nine repeats there made no test image here


def test_blanks_have_no_tier_but_do_not_close_the_loop():
    table = assign_tiers(
        [scan(range(5), shown=[2, 1, 1, 1, 9], image_class=["imagenet"] * 4 + ["blank"])], Tiers()
    )
    assert table.filter(tier="none").height == 1
    assert table.filter(tier="test").height == 1


def test_one_source_for_everything_leaves_nothing_to_learn_from():
    with pytest.raises(DataError, match="none to learn from"):
        assign_tiers([scan(range(50), shown=[2] + [1] * 49, sources=["a"] * 50)], Tiers())


def test_no_natural_image_is_an_error():
    with pytest.raises(DataError, match="natural_classes"):
        assign_tiers([scan([1, 2], image_class="noise")], Tiers())


def test_large_families_are_passed_over_unless_all_are_large():
    assert draw([1, 1, 1, 1], 2) == [0, 1]
    assert draw([50, 3, 50], 2) == [1]
    assert draw([50, 60], 2) == [0]
    assert draw([], 0) == []


def test_conditions_are_counted_over_trials_and_unshown_ones_left_out():
    conditions = pl.DataFrame(
        {
            "condition_hash": ["a", "b"],
            "image_class": ["imagenet"] * 2,
            "image_id": [1, 2],
            "source_id": ["", ""],
            "image_row": [0, 1],
        }
    )
    got = shown_conditions(pl.DataFrame({"condition_hash": ["a", "a"]}), conditions)
    assert got.rows() == [("a", "imagenet", 1, "", 2, None)]


def test_the_drawn_test_tier_holds_the_lowest_hashes_and_validation_the_next():
    config = Tiers(test_fraction=0.25, validation_fraction=0.1, key="k")
    table = assign_tiers([scan(range(40))], config)
    order = sorted(range(40), key=lambda i: keyed_hash(f"image/imagenet/{i}", "k"))
    assert set(table.filter(tier="test")["image_id"]) == set(order[:10])
    assert set(table.filter(tier="validation")["image_id"]) == set(order[10:13])


def test_one_repeated_image_anywhere_stands_in_for_a_drawn_test_tier():
    first, second = scan(range(50)), scan(range(50, 100), shown=[2] + [1] * 49)
    assert assign_tiers([first], Tiers()).filter(tier="test").height == 5
    table = assign_tiers([first, second], Tiers())
    assert table.filter(tier="test")["image_id"].to_list() == [50]


def test_of_two_tiers_given_to_one_image_the_stricter_counts_in_either_order():
    one, other = scan(range(5), tier=["train"] * 5), scan(range(5), tier=["test"] + ["train"] * 4)
    for scans in ([one, other], [other, one]):
        assert by_id(assign_tiers(scans, Tiers(validation_fraction=0)))[0] == "test"


def test_pairs_that_look_alike_join_families_and_others_change_nothing():
    scans = [scan(range(6), shown=[2, 1, 1, 1, 1, 1])]

    def alike(*pairs):
        return pl.DataFrame(
            [(f"imagenet-{a}", f"imagenet-{b}") for a, b in pairs],
            schema={"condition_hash_a": pl.String, "condition_hash_b": pl.String},
            orient="row",
        )

    table = assign_tiers(scans, Tiers(), alike((0, 3), (3, 5), (4, 99)))
    assert {i for i, tier in by_id(table).items() if tier == "test"} == {0, 3, 5}
    assert table.filter(image_id=5)["reason"].item() == rules.KIN
    assert assign_tiers(scans, Tiers(), alike((4, 99))).equals(assign_tiers(scans, Tiers()))
    assert assign_tiers(scans, Tiers(), alike()).equals(assign_tiers(scans, Tiers()))


def test_moved_images_are_those_whose_tier_one_scan_alone_would_set_otherwise():
    first, second = scan(range(30), shown=[2] + [1] * 29), scan(range(20, 60), shown=[1] * 39 + [3])
    table = assign_tiers([first, second], Tiers())
    moved = rules.moved_images([first, second], table, Tiers())
    group = dict(zip(table["condition_hash"], table["tier"], strict=True))
    for position, one in enumerate((first, second)):
        alone = assign_tiers([one], Tiers())
        want = {(h, t, group[h]) for h, t in alone.select("condition_hash", "tier").rows() if t != group[h]}
        got = moved.filter(scan=position).select("condition_hash", "tier_alone", "tier").rows()
        assert set(got) == want
    assert rules.moved_images([first], assign_tiers([first], Tiers()), Tiers()).height == 0


def test_given_tiers_without_a_test_or_validation_image_are_refused_by_name():
    for known, missing in ((["train", "validation"], "test"), (["train", "test"], "validation")):
        scans = [scan(range(20), tier=known * 10)]
        with pytest.raises(DataError, match=f"no image is {missing}.*given_incomplete to 'draw'"):
            assign_tiers(scans, Tiers())
    without = assign_tiers([scan(range(20), tier=["train", "test"] * 10)], Tiers(validation_fraction=0))
    assert set(without["tier"]) == {"train", "test"}  # asked for


def test_the_tier_that_given_ones_lack_is_drawn_from_the_unassigned_images():
    table = assign_tiers([scan(range(60), tier=["train"] * 20 + ["validation"] * 20 + [None] * 20)], Tiers())
    test = table.filter(tier="test")
    assert test.height == 2
    assert set(test["reason"]) == {rules.DRAWN}
    assert test["image_id"].min() >= 40
    table = assign_tiers([scan(range(60), tier=["train"] * 20 + ["test"] * 20 + [None] * 20)], Tiers())
    assert table.filter(tier="validation")["image_id"].min() >= 40
    assert table.filter(tier="validation").height == 2


def test_the_tier_that_given_ones_lack_is_drawn_from_whole_train_families_by_policy():
    """Source s0 has a validation image, so that its train images stay; of the rest the lowest hashes go."""
    given = ["validation", "train"] + ["train"] * 40
    sources = ["s0", "s0"] + [f"s{i // 2}" for i in range(2, 42)]
    config = Tiers(given_incomplete="draw", key="k")
    table = assign_tiers([scan(range(42), sources=sources, tier=given)], config)
    order = sorted({f"s{i}" for i in range(1, 21)}, key=lambda s: keyed_hash(f"source/{s}", "k"))
    assert set(table.filter(tier="test")["source_id"]) == set(order[:2])  # 10 % of 40 images
    assert table.filter(tier="test")["reason"].to_list() == [FROM_GIVEN] * 4
    assert by_id(table)[0] == "validation"
    assert by_id(table)[1] == "train"
    both = assign_tiers([scan(range(100), tier=["train"] * 100)], config)
    assert dict(both["tier"].value_counts().rows()) == {"test": 10, "validation": 9, "train": 81}


def test_given_tiers_win_also_where_they_split_every_source():
    given = ["train", "validation", "test"] * 4
    sources = [f"s{i // 3}" for i in range(12)]
    table = assign_tiers([scan(range(12), sources=sources, tier=given)], Tiers())
    assert by_id(table) == dict(enumerate(given))
    assert set(table["reason"]) == {rules.GIVEN}


def test_one_image_is_one_image():
    with pytest.raises(DataError, match="1 source of 1 image left none to learn from"):
        assign_tiers([scan([1], shown=[2])], Tiers())

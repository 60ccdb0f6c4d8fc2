"""What the rig shows next is what was named last."""

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.identity import Config
from inception_loop.errors import ArtifactNotFoundError, ConfigurationError, DataError
from inception_loop.stimuli.stimulus_set import STIMULUS_SET
from inception_loop.stimuli.target_group import (
    TARGET_STATIC_GROUP_ID,
    TargetStaticGroupIdConfig,
    current_target,
    make_target_static_group_id,
    number_of,
    targets,
)


class StubConfig(Config):
    loop_group: int = 0
    seed: int = 0


def stimulus_set(store, seed):
    def build(attempt):
        attempt.write_arrays("images", {"images": np.zeros((3, 2, 2), np.uint8)})
        declared = STIMULUS_SET.payloads
        for name in ("conditions", "trials"):
            values = {
                c: ["a" if str(d.type) == "string" else 0] * 5 for c, d in declared[name].columns.items()
            }
            attempt.write_table(name, pl.DataFrame(values))

    return store.make(STIMULUS_SET, StubConfig(seed=seed), build).ref


def name_it(store, number, shown, loop_group=0):
    config = TargetStaticGroupIdConfig(loop_group=loop_group, number=number)
    return make_target_static_group_id(store, config, stimulus_set=shown)


def test_the_highest_number_of_the_loop_counts(store):
    first, second = (stimulus_set(store, seed) for seed in (1, 2))
    name_it(store, 9, first)
    made = name_it(store, 10, second).ref
    name_it(store, 99, first, loop_group=10)
    assert current_target(store, 0) == (10, second, made)
    assert [target.number for target in targets(store, 0)] == [9, 10]
    assert current_target(store, 10).stimulus_set == first


def test_a_target_says_what_it_shows(store):
    shown = stimulus_set(store, 1)
    (row,) = store.table(name_it(store, 3, shown).ref, "target_static_group_id").iter_rows(named=True)
    assert row == {"number": 3, "stimulus_set": shown.digest, "n_images": 3, "n_trials": 5}


def test_numbers_run_on(store):
    shown = stimulus_set(store, 1)
    assert number_of(store, 0, shown) == 0
    name_it(store, 0, shown)
    other = stimulus_set(store, 2)
    assert number_of(store, 0, other) == 1
    assert number_of(store, 0, shown) == 0
    assert name_it(store, 0, shown).cached
    name_it(store, 1, other)
    assert number_of(store, 0, shown) == 2


def test_a_number_that_is_not_above_the_others_is_refused(store):
    name_it(store, 4, stimulus_set(store, 1))
    for number in (4, 3):
        with pytest.raises(
            ConfigurationError, match=f"target {number} of loop 0 is not above 4 .* expected 5 or more"
        ):
            name_it(store, number, stimulus_set(store, 2))


def test_two_with_the_same_number_are_an_error_that_names_both(store):
    shown = [stimulus_set(store, seed) for seed in (1, 2)]

    def at_the_same_moment(attempt):
        row = {"number": 4, "stimulus_set": "", "n_images": 3, "n_trials": 5}
        attempt.write_table("target_static_group_id", pl.DataFrame([row]))

    config = TargetStaticGroupIdConfig(loop_group=0, number=4)
    refs = [
        store.make(TARGET_STATIC_GROUP_ID, config, at_the_same_moment, {"stimulus_set": one}).ref
        for one in shown
    ]
    with pytest.raises(DataError, match="two targets with the number 4") as refused:
        current_target(store, 0)
    assert all(str(ref) in str(refused.value) for ref in (*refs, *shown))
    assert [number_of(store, 0, one) for one in shown] == [5, 5]
    name_it(store, 5, shown[0])
    assert current_target(store, 0).stimulus_set == shown[0]


def test_a_loop_without_a_target_says_what_to_do(store):
    with pytest.raises(ArtifactNotFoundError, match="loop 7 has no target_static_group_id; expected one"):
        current_target(store, 7)

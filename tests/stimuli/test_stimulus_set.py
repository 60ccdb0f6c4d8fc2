"""The stimulus set out of fills, the source recording's oracle images and blanks."""

import itertools

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from inception_loop.artifacts.kind import upgraded
from inception_loop.errors import DataError
from inception_loop.images.mei import MEI
from inception_loop.images.natural.whole import BEST_NATURAL_IMAGE
from inception_loop.images.rf import GRAD_RF
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.fills import CENTRE, MultiMeiFill, UnmaskedFill
from inception_loop.stimuli.stimulus_fill import StimulusFillConfig, make_stimulus_fill
from inception_loop.stimuli.stimulus_set import (
    ADDED_IN_2,
    ADDED_IN_3,
    CONDITIONS,
    STIMULUS_SET,
    StimulusSetConfig,
    make_stimulus_set,
)

SHIFTS = ((0, 0), (1, 0))


def session(**changes):
    return StimulusSetConfig(loop_group=3, session=StimulusConfig(**({"repeats": 3} | changes)))


@pytest.fixture
def fill(store, make_processed, make_selection):
    """Make a fill of some units from artifacts of one unit each."""

    def make(units, rules=None, kinds=(MEI, GRAD_RF), **how):
        rules = rules or MultiMeiFill(shifts=SHIFTS)
        images = [make_processed(kind, [u], shifts=SHIFTS, **how) for kind in kinds for u in units]
        return make_stimulus_fill(
            store,
            StimulusFillConfig(loop_group=3, fill=rules),
            processed_images=images,
            corrected_high_unit_selection=make_selection(units),
        ).ref

    return make


@pytest.fixture
def naturals(fill):
    return lambda units, **how: fill(units, UnmaskedFill(), (BEST_NATURAL_IMAGE,), **how)


def test_images_alike_in_grey_but_not_in_light_are_warned_of(store, fill, naturals, recording):
    for units, contrast, n_lines in (([11, 7], 1.0, 0), ([11, 30], 0.8, 1)):
        fills = [fill(units), naturals(units, luminance_contrast=contrast)]
        made = make_stimulus_set(store, session(repeats=5), fills=fills, recording=recording[0]).ref
        warnings = store.manifest(made).findings["warnings"]
        assert len(warnings) == n_lines
        assert all(line.startswith("the images are alike in grey levels, not in light") for line in warnings)


def test_the_set_holds_the_bytes_of_the_fills_and_the_oracle_images(store, fill, naturals, recording):
    source, hashes = recording
    fills = [fill([11, 7, 30]), naturals([11, 7, 30])]
    made = make_stimulus_set(store, session(), fills=fills, recording=source).ref
    conditions, images = store.table(made, "conditions"), store.arrays(made, "images")["images"]
    assert images.shape == (12 + 3 + 2 + 1, 72, 128)
    assert store.table(made, "trials").height == 3 * 18
    for ref in fills:
        holders = store.inputs(ref)["processed_image"]
        for row in store.table(ref, "stimulus_fill").iter_rows(named=True):
            (mine,) = conditions.filter(
                image_class=row["image_class"], source_unit_id=row["unit_id"], shift_x=row["shift_x"]
            ).iter_rows(named=True)
            there = store.arrays(holders[row["artifact"]], "images")["images"][row["image_row"]]
            assert np.array_equal(images[mine["image_row"]], there)
            assert mine["reference_activation"] == row["reference_activation"]
    # image 0 was shown 5 times, but once in an excluded trial
    assert conditions.filter(model_type="oracle")["condition_hash"].to_list() == hashes[1:3]
    assert conditions["fill"].value_counts(sort=True).rows() == [("multimei", 12), ("unmasked", 3), (None, 3)]


def test_the_manifest_names_the_artifacts_whose_bytes_were_read(store, fill, recording):
    made = fill([11, 7])
    inputs = store.inputs(make_stimulus_set(store, session(), fills=[made], recording=recording[0]).ref)
    assert set(inputs) == {"stimulus_fill", "processed_image", "recording"}
    assert set(inputs["processed_image"]) == set(store.inputs(made)["processed_image"])


def test_the_order_of_the_fills_means_nothing(store, fill, naturals, recording):
    fills = [fill([11, 7]), naturals([11, 7]), fill([30])]
    made = {
        make_stimulus_set(store, session(), fills=list(mixed), recording=recording[0]).ref
        for mixed in itertools.permutations(fills)
    }
    assert len(made) == 1


def test_findings_say_what_the_session_takes(store, fill, recording):
    made = make_stimulus_set(store, session(blanks=3), fills=[fill([11, 7])], recording=recording[0]).ref
    findings = store.manifest(made).findings
    assert findings["images_by_model_type"] == {"blank": 1, "cnn": 4, "linear": 4, "oracle": 2}
    assert (findings["n_units"], findings["n_images"], findings["n_trials"]) == (2, 11, 3 * 13)
    assert findings["minutes"] == pytest.approx(39 * 0.9 / 60, abs=1e-3)
    (warning,) = findings["warnings"]
    assert warning.startswith("the 2 oracle images of the source scan are shown 3 times: ")
    assert warning.endswith("; set session.repeats = 5 or more")
    enough = make_stimulus_set(store, session(repeats=5), fills=[fill([11, 7])], recording=recording[0]).ref
    assert store.manifest(enough).findings["warnings"] == []


def test_a_set_filled_twice_is_refused_and_leaves_nothing(store, fill, recording):
    one, other = fill([11, 7]), fill([7], MultiMeiFill(shifts=CENTRE))
    with pytest.raises(DataError, match=f"a stimulus set filled twice: {one} is given 2 times"):
        make_stimulus_set(store, session(), fills=[one, one], recording=recording[0])
    with pytest.raises(
        DataError, match="filled twice: unit 7 of scan has images of class multi_cnn_mei in stim"
    ):
        make_stimulus_set(store, session(), fills=[one, other], recording=recording[0])
    assert not list(store.backend.walk(STIMULUS_SET.name))


def test_a_set_of_nothing_is_refused(store, recording):
    with pytest.raises(DataError, match="made of no fill; expected at least one"):
        make_stimulus_set(store, session(), fills=[], recording=recording[0])


def test_new_images_are_numbered_after_those_of_all_earlier_sets(store, fill, naturals, recording):
    def made(fills, before=None, **changes):
        return make_stimulus_set(
            store, session(**changes), fills=fills, recording=recording[0], before=before
        ).ref

    def ids(ref, image_class):
        rows = store.table(ref, "conditions").filter(image_class=image_class, shift_x=0)
        return dict(rows.select("source_unit_id", "image_id").rows())

    first = made([fill([11, 7])])
    second = made([naturals([11])], first)
    third = made([fill([30]), naturals([7])], second)
    again = made([fill([11, 7])], third, seed=2)
    assert ids(first, "multi_cnn_mei") == ids(again, "multi_cnn_mei") == {11: 0, 7: 2}
    assert ids(third, "multi_cnn_mei") == {30: 4}
    assert (ids(second, "unmasked_imgnet"), ids(third, "unmasked_imgnet")) == ({11: 0}, {7: 1})
    assert {tuple(ids(ref, "blank").values()) for ref in (first, second, third)} == {(0,)}


def test_the_same_question_is_answered_once(store, fill, recording):
    made = fill([11])
    outcomes = [make_stimulus_set(store, session(), fills=[made], recording=recording[0]) for _ in range(2)]
    assert [outcome.cached for outcome in outcomes] == [False, True]


def test_conditions_of_the_first_version_are_read_with_nulls():
    old = {name: column for name, column in CONDITIONS.items() if name not in (*ADDED_IN_2, *ADDED_IN_3)}
    table = pl.DataFrame({name: ["a" if column.type == pa.string() else 1] for name, column in old.items()})
    declared = STIMULUS_SET.payloads["conditions"]
    lifted = pl.DataFrame(pl.from_arrow(upgraded(table.to_arrow(), declared, 1, "it")))
    assert set(lifted.columns) == set(CONDITIONS)
    assert lifted["fill"].to_list() == [None]

"""A stimulus set is complete, on target, numbered without gaps, and blocked."""

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import DataError
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.recording import CONDITION_COLUMNS
from inception_loop.stimuli.assembly import assemble
from inception_loop.stimuli.config import NINE_SHIFTS
from inception_loop.stimuli.oracle import OracleImages
from inception_loop.stimuli.rig import to_rig

TARGET = {"mean": 110.0, "contrast": 9.0}


@pytest.fixture
def oracle(make_pictures):
    images = to_rig(make_pictures(4, 9), 2)
    conditions = pl.DataFrame(
        {
            "condition_hash": [condition_hash(image, 0.5) for image in images],
            "image_class": ["natural"] * 4,
            "image_id": [105, 3, 77, 8],
            "source_id": ["x", "y", "y", "z"],
        }
    )
    return OracleImages(conditions, images)


def test_every_unit_has_its_images_and_they_are_those_that_were_made(make_made, oracle, config):
    made = make_made()
    found = assemble(made, oracle, config, **TARGET)
    assert found.images.shape == (3 * 3 + 4 + 1, 72, 128)
    for group in made:
        for row, unit in enumerate(group.units["unit_id"]):
            mine = found.conditions.filter(model_type=group.model_type, source_unit_id=unit)
            assert mine.height == 1
            shown = found.images[mine["image_row"][0]]
            assert np.abs(shown[::2, ::2] - group.images[row]).max() <= 0.51


def test_hashes_are_those_of_the_bytes_shown(make_made, oracle, config):
    found = assemble(make_made(), oracle, config, **TARGET)
    for digest, row in found.conditions.select("condition_hash", "image_row").rows():
        assert digest == condition_hash(found.images[row], config.shown_s)


def test_ids_are_consecutive_in_each_class_and_oracle_images_keep_theirs(make_made, oracle, config):
    found = assemble(make_made(), oracle, config, **TARGET).conditions
    for image_class in ("multi_cnn_mei", "multi_lin_rf", "unmasked_imgnet"):
        assert found.filter(image_class=image_class)["image_id"].to_list() == [0, 1, 2]
    assert found.filter(model_type="oracle")["image_id"].to_list() == [105, 3, 77, 8]
    assert (
        found.filter(model_type="oracle")["condition_hash"].to_list()
        == oracle.conditions["condition_hash"].to_list()
    )


def test_the_table_is_one_of_conditions_of_a_recording(make_made, oracle, config):
    found = assemble(make_made(), oracle, config, **TARGET).conditions
    assert set(CONDITION_COLUMNS) <= set(found.columns)
    assert found.select(CONDITION_COLUMNS).null_count().sum_horizontal()[0] == 0
    assert found.filter(model_type="natural")["source_id"].to_list() == ["photo11", "photo7", "photo30"]
    assert found.filter(model_type="cnn")["source_id"].to_list() == [f"multi_cnn_mei-{i}" for i in range(3)]


def test_each_block_shows_each_different_image_once(make_made, oracle, config):
    found = assemble(make_made(), oracle, config, **TARGET)
    shown = found.conditions["image_row"].to_numpy()[found.trials["condition_row"].to_numpy()]
    assert len(shown) == config.repeats * len(found.images)
    for block in range(config.repeats):
        mine = shown[found.trials["block"].to_numpy() == block]
        assert sorted(mine) == list(range(len(found.images)))
    at = found.conditions["condition_hash"].to_numpy()[found.trials["condition_row"].to_numpy()]
    assert at.tolist() == found.trials["condition_hash"].to_list()


def test_an_image_that_two_units_share_is_shown_once_and_listed_for_both(
    make_made, make_pictures, oracle, config
):
    natural = make_pictures(3, 3)
    natural[2] = natural[0]
    found = assemble(make_made(natural=natural), oracle, config, **TARGET)
    mine = found.conditions.filter(model_type="natural")
    assert mine["image_id"].to_list() == [0, 1, 0]
    assert mine["source_unit_id"].to_list() == [11, 7, 30]
    assert mine["image_row"][0] == mine["image_row"][2]
    assert mine["condition_hash"][0] == mine["condition_hash"][2]
    assert len(found.images) == 8 + 4 + 1
    assert found.trials.height == config.repeats * 13
    assert found.plan.trials == found.trials.height


def test_nine_shifts_are_nine_images_whose_centre_is_the_unshifted_one(make_made, config):
    wide = config.model_copy(update={"shifts": NINE_SHIFTS, "blanks": 0})
    found = assemble(make_made()[:1], None, wide, **TARGET)
    assert found.conditions.height == 27
    assert found.conditions["image_id"].to_list() == list(range(27))
    centre = assemble(make_made()[:1], None, config.model_copy(update={"blanks": 0}), **TARGET)
    mine = found.conditions.filter(shift_x=0, shift_y=0)
    assert mine["condition_hash"].to_list() == centre.conditions["condition_hash"].to_list()


def test_the_blank_is_uniform_at_the_mean(make_made, config):
    found = assemble(make_made(), None, config, **TARGET)
    row = found.conditions.filter(model_type="blank")
    assert row.height == 1
    assert np.unique(found.images[row["image_row"][0]]).tolist() == [110]
    assert row["contrast"][0] == 0


def test_made_images_are_on_target_after_rounding_whatever_they_were_before(make_made, make_pictures, config):
    loud = 60 + 3 * (make_pictures(3, 1) - 60)
    found = assemble(make_made(mei=loud.clip(0, 255)), None, config, **TARGET)
    mine = found.conditions.filter(model_type="cnn")
    assert mine["mean"].to_numpy() == pytest.approx(110 * np.ones(3), rel=0.005)
    assert mine["contrast"].to_numpy() == pytest.approx(9 * np.ones(3), rel=0.01)


def test_without_matching_images_off_target_are_refused_all_or_nothing(make_made, make_pictures, config):
    loud = make_pictures(3, 1)
    loud[1] = 110 + 1.2 * (loud[1] - 110)
    as_is = config.model_copy(update={"match": False})
    with pytest.raises(
        DataError, match=r"1 of 9 images miss .* worst multi_cnn_mei of unit 7 with contrast 10\.8"
    ):
        assemble(make_made(mei=loud), None, as_is, **TARGET)
    assemble(make_made(), None, as_is, **TARGET)


def test_a_contrast_that_cannot_be_shown_is_refused(make_made, config):
    with pytest.raises(DataError, match="too much; lower the target"):
        assemble(make_made(), None, config, mean=20.0, contrast=80.0)


def test_units_that_lack_an_image_are_named(make_made, config):
    made = make_made()
    short = [made[0], *make_made((11, 7))[1:]]
    with pytest.raises(DataError, match="images of 2 units, multi_cnn_mei of 3, first difference unit 30"):
        assemble(short, None, config, **TARGET)
    with pytest.raises(DataError, match="unit 7 of group000-1-1-1 has two images"):
        assemble(make_made((7, 7)), None, config, **TARGET)


def test_oracle_images_of_another_size_are_refused(make_made, oracle, config):
    small = OracleImages(oracle.conditions, oracle.images[:, ::2, ::2])
    with pytest.raises(DataError, match="have 36×64 px, the made ones 72×128"):
        assemble(make_made(), small, config, **TARGET)


def test_the_same_configuration_gives_the_same_set(make_made, oracle, config):
    one, other = (assemble(make_made(), oracle, config, **TARGET) for _ in range(2))
    assert np.array_equal(one.images, other.images)
    assert one.conditions.equals(other.conditions)
    assert one.trials.equals(other.trials)

"""A session of fills, oracle images and a blank."""

import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.images import shown_images
from inception_loop.errors import DataError
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.recording import CONDITION_COLUMNS
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.oracle import OracleImages
from inception_loop.stimuli.session import arrange_session

CONFIG = StimulusConfig(repeats=4)
UNITS = (11, 7, 30)
SHIFTS = ((0, 0), (1, 0))


def images(n, seed):
    return np.random.default_rng(seed).integers(90, 130, (n, 4, 6), np.uint8)


CLASSES = (("multi_cnn_mei", "cnn", "meis"), ("multi_lin_rf", "linear", "rfs"))
HOLDERS = {"meis": images(6, 1), "rfs": images(6, 2)}


def made(**changes):
    rows = [
        {
            "image_class": image_class, "model_type": model_type, "name": "scan", "neuron_id": unit % 5,
            "unit_id": unit, "hu_rank": 0, "shift_x": shift[0], "shift_y": shift[1], "source_id": None,
            "target": "grey", "target_mean": 110.0, "target_contrast": 8.0, "target_grey": 110.0,
            "mean": float(HOLDERS[holder][row].mean()), "contrast": float(HOLDERS[holder][row].std()),
            "luminance_mean": 4.3, "luminance_contrast": 0.6,
            "reference_activation": 1.5, "validator_activation": None, "fill": "multimei",
            "holder": holder, "image_row": row,
        }
        for image_class, model_type, holder in CLASSES
        for row, (unit, shift) in enumerate((unit, shift) for unit in UNITS for shift in SHIFTS)
    ]  # fmt: skip
    return pl.DataFrame(
        rows, schema_overrides={"source_id": pl.String, "validator_activation": pl.Float64}
    ).with_columns(**changes)


@pytest.fixture
def oracle():
    some = images(2, 9)
    conditions = pl.DataFrame(
        {
            "condition_hash": ["known", "by this"],
            "image_class": "natural",
            "image_id": [105, 3],
            "source_id": "photo",
        }
    )
    return OracleImages(conditions, some)


def shown(session):
    return np.concatenate(list(session.pixels.blocks(session.arrangement.first).blocks))


def test_every_row_shows_the_bytes_that_were_filled(oracle):
    session = arrange_session(made(), HOLDERS, oracle, CONFIG)
    pictures, conditions = shown(session), session.arrangement.conditions
    assert pictures.shape == (12 + 2 + 1, 4, 6)
    for row in made().iter_rows(named=True):
        mine = conditions.filter(
            image_class=row["image_class"], source_unit_id=row["unit_id"], shift_x=row["shift_x"]
        ).row(0, named=True)
        assert np.array_equal(pictures[mine["image_row"]], HOLDERS[row["holder"]][row["image_row"]])
        assert mine["condition_hash"] == condition_hash(pictures[mine["image_row"]], CONFIG.shown_s)
        assert (mine["mean"], mine["contrast"], mine["reference_activation"]) == (
            row["mean"],
            row["contrast"],
            1.5,
        )


def test_oracle_images_are_shown_byte_for_byte_under_the_names_that_they_have(oracle):
    session = arrange_session(made(), HOLDERS, oracle, CONFIG)
    mine = session.arrangement.conditions.filter(model_type="oracle")
    assert mine.select("condition_hash", "image_id").rows() == [("known", 105), ("by this", 3)]
    assert np.array_equal(shown(session)[mine["image_row"].to_numpy()], oracle.images)
    assert mine["mean"].to_numpy() == pytest.approx(oracle.images.mean((1, 2)))


def test_the_table_is_one_of_conditions_of_a_recording(oracle):
    found = arrange_session(made(), HOLDERS, oracle, CONFIG).arrangement.conditions
    assert found.select(CONDITION_COLUMNS).null_count().sum_horizontal()[0] == 0
    for image_class in ("multi_cnn_mei", "multi_lin_rf"):
        assert found.filter(image_class=image_class)["image_id"].to_list() == list(range(6))


def test_the_later_stages_find_the_unshifted_images():
    found = shown_images(arrange_session(made(), HOLDERS, None, CONFIG).arrangement.conditions)
    assert found.select("model_type", "image_unit_id").rows() == [
        (kind, unit) for kind in ("cnn", "linear") for unit in sorted(UNITS)
    ]


def test_the_blank_is_uniform_at_the_grey_level_of_the_target():
    session = arrange_session(made(target_grey=pl.lit(97.4)), HOLDERS, None, CONFIG)
    (row,) = session.arrangement.conditions.filter(model_type="blank").iter_rows(named=True)
    assert np.unique(shown(session)[row["image_row"]]).tolist() == [97]
    assert (row["mean"], row["contrast"], row["image_id"]) == (97.0, 0.0, 0)
    without = arrange_session(made(), HOLDERS, None, CONFIG.model_copy(update={"blanks": 0}))
    assert without.arrangement.conditions.filter(model_type="blank").height == 0


def test_fills_of_several_means_have_no_blank():
    mixed = made(target_grey=pl.when(pl.col("model_type") == "cnn").then(110.0).otherwise(128.0))
    with pytest.raises(DataError, match="grey level 110 and 128; expected one, that of the blank"):
        arrange_session(mixed, HOLDERS, None, CONFIG)
    arrange_session(mixed, HOLDERS, None, CONFIG.model_copy(update={"blanks": 0}))


def test_an_image_that_two_units_share_is_shown_once_and_listed_for_both():
    twin = made(
        image_row=pl.when(pl.col("unit_id") == 30).then(pl.col("image_row") - 4).otherwise("image_row")
    )
    session = arrange_session(twin, HOLDERS, None, CONFIG)
    mine = session.arrangement.conditions.filter(model_type="cnn")
    assert mine["image_id"].to_list() == [0, 1, 2, 3, 0, 1]
    assert len(shown(session)) == 8 + 1
    assert session.arrangement.trials.height == CONFIG.repeats * 9


def test_oracle_images_of_another_size_are_refused(oracle):
    small = OracleImages(oracle.conditions, oracle.images[:, ::2, ::2])
    with pytest.raises(DataError, match="the source scan has images of 2×3 px, meis of 4×6"):
        arrange_session(made(), HOLDERS, small, CONFIG)

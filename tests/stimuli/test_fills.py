"""What the fills take, as published."""

import pytest
from pydantic import TypeAdapter, ValidationError

from inception_loop.stimuli.fills import (
    NINE_SHIFTS,
    Fill,
    GaborFill,
    MultiMeiFill,
    TightMeiVsImagenetFill,
    UnmaskedFill,
)

FILLS = (MultiMeiFill, GaborFill, TightMeiVsImagenetFill, UnmaskedFill)


def test_each_fill_knows_its_kinds_classes_and_model_types():
    assert [tuple(taken) for fill in FILLS for taken in fill.takes] == [
        ("mei", "multi_cnn_mei", "cnn"),
        ("grad_rf", "multi_lin_rf", "linear"),
        ("best_gabor", "gabor", "gabor"),
        ("masked_mei", "masked_mei", "masked_cnn"),
        ("best_tight_masked_imagenet", "masked_imagenet", "masked_natural"),
        ("best_natural_image", "unmasked_imgnet", "natural"),
    ]


def test_only_the_multi_fill_takes_nine_displacements_by_default():
    assert [len(fill().shifts) for fill in FILLS] == [9, 1, 1, 1]
    assert set(NINE_SHIFTS) == {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)}


@pytest.mark.parametrize("fill", FILLS)
def test_a_fill_is_read_by_its_type(fill):
    assert TypeAdapter(Fill).validate_python({"type": fill().type, "max_rank": 7}) == fill(max_rank=7)


@pytest.mark.parametrize("shifts", [(), ((1, 0),), ((0, 0), (0, 0))])
def test_displacements_without_the_centre_or_with_one_twice_are_refused(shifts):
    with pytest.raises(ValidationError, match=r"expected each once, \(0, 0\) among them"):
        GaborFill(shifts=shifts)

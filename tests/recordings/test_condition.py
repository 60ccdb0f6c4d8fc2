"""Identity of conditions."""

import numpy as np
import pytest

from inception_loop.errors import RecordingError
from inception_loop.recordings.condition import condition_hash

GREY = np.full((36, 64), 128, dtype=np.uint8)


def test_the_hash_is_frozen():
    assert condition_hash(GREY, 0.5) == "b7e05e28023764f87e1c269932433817"


def test_pixels_shape_and_duration_all_count():
    other = GREY.copy()
    other[3, 4] += 1
    hashes = [condition_hash(*args) for args in ((GREY, 0.5), (other, 0.5), (GREY, 1.0), (GREY.T, 0.5))]
    assert len(set(hashes)) == 4


def test_memory_layout_does_not_count():
    assert condition_hash(np.asfortranarray(GREY), 0.5) == condition_hash(GREY, 0.5)
    assert condition_hash(GREY, 0.1 + 0.2) == condition_hash(GREY, 0.3)


@pytest.mark.parametrize("wrong", [GREY.astype(float), GREY[None]])
def test_anything_but_one_image_is_refused(wrong):
    with pytest.raises(RecordingError, match="expected one uint8 or float32 image"):
        condition_hash(wrong, 0.5)


def test_an_image_kept_as_floats_is_another_condition_than_its_rounded_grey_levels():
    assert condition_hash(GREY.astype(np.float32), 0.5) != condition_hash(GREY, 0.5)

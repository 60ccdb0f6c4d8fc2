"""Images off target are listed and refused."""

import numpy as np
import pytest

from inception_loop.errors import DataError
from inception_loop.stimuli.statistics import misses, refuse_misses


@pytest.fixture
def shown():
    base = np.array([-1.0, 1.0] * 50).reshape(1, 10, 10)
    return np.concatenate(
        [np.rint(mean + c * base) for mean, c in ((100, 10), (104, 10), (106, 10), (100, 12))]
    )


def test_only_misses_beyond_the_tolerance_are_listed(shown):
    found = misses(shown.astype(np.uint8), list("abcd"), mean=100, contrast=10, tolerance=0.05)
    assert found.select("image", "what", "got").rows() == [("c", "mean", 106.0), ("d", "contrast", 12.0)]
    assert found["off"].to_list() == pytest.approx([0.06, 0.2])


def test_the_refusal_counts_images_and_names_the_worst(shown):
    found = misses(shown.astype(np.uint8), list("abcd"), mean=100, contrast=10, tolerance=0.05)
    with pytest.raises(
        DataError, match=r"2 of 4 images miss .* 5%, worst d with contrast 12\.00 instead of 10\.00"
    ):
        refuse_misses(found, 4, 0.05)


def test_images_on_target_pass(shown):
    found = misses(shown[:2].astype(np.uint8), list("ab"), mean=100, contrast=10, tolerance=0.05)
    refuse_misses(found, 2, 0.05)

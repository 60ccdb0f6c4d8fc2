"""A picture becomes images of the networks' size by the rule that is named, and by no other."""

import numpy as np
import pytest

from inception_loop.errors import DataError
from inception_loop.images.fitting import Fit, fitted, to_grey

PICTURE = np.random.default_rng(1).integers(0, 256, (9, 14), dtype=np.uint8)
SMALL = {"height": 2, "width": 4}


def test_colours_become_grey_by_the_weights_named():
    colours = np.random.default_rng(2).integers(0, 256, (3, 5, 3)).astype(np.uint8)
    expected = 0.299 * colours[..., 0] + 0.587 * colours[..., 1] + 0.114 * colours[..., 2]
    assert to_grey(colours, "bt601") == pytest.approx(expected, rel=1e-6)
    white = np.full((1, 1, 3), 255, np.uint8)
    assert [to_grey(white, rule).item() for rule in ("bt709", "bt601", "mean")] == pytest.approx([255] * 3)


def test_a_whole_picture_is_averaged_over_equal_areas():
    found = fitted(PICTURE[:8, :12], Fit(height=2, width=3))
    assert found == pytest.approx(PICTURE[:8, :12].reshape(1, 2, 4, 3, 4).mean((2, 4)), rel=1e-6)


def test_tiles_are_the_windows_side_by_side_and_the_centre_is_one_in_the_middle():
    tiles = fitted(PICTURE, Fit(**SMALL, how="tiles", scale=2))
    slow = [PICTURE[y : y + 4, x : x + 8].reshape(2, 2, 4, 2).mean((1, 3)) for y in (0, 4) for x in (0,)]
    assert tiles == pytest.approx(np.stack(slow))
    centre = fitted(PICTURE, Fit(**SMALL, how="centre"))
    assert np.array_equal(centre[0], PICTURE[3:5, 5:9])


@pytest.mark.parametrize(("aspect", "edge"), [("crop", False), ("letterbox", True)])
def test_another_aspect_ratio_is_cut_or_framed_if_that_is_asked_for(aspect, edge):
    white = np.full((6, 6), 255, np.uint8)
    found = fitted(white, Fit(height=2, width=4, aspect=aspect, border=0.0))
    assert found.shape == (1, 2, 4)
    assert (found[0, 0, 0] < 255) == edge


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (Fit(), "the picture has 9×14 px; expected the aspect ratio of 36×64; choose to crop, letterbox"),
        (Fit(aspect="crop"), "px; expected 36×64 or more; leave it out"),
        (Fit(**SMALL, how="tiles", scale=5), "expected 10×20 or more for windows of 2×4 at scale 5"),
    ],
)
def test_what_does_not_fit_is_refused(fit, message):
    with pytest.raises(DataError, match=message):
        fitted(PICTURE, fit)

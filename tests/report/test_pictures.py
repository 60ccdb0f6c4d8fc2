import io

import numpy as np
from matplotlib.image import imread

from inception_loop.report.pictures import png, stretched


def test_the_png_holds_exactly_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (36, 64), dtype=np.uint8)
    read = imread(io.BytesIO(png(pixels)), format="png")
    np.testing.assert_array_equal(np.rint(read * 255).astype(np.uint8), pixels)
    assert png(pixels) == png(pixels.copy())


def test_stretching_ignores_mean_and_contrast():
    image = np.random.default_rng(1).normal(size=(6, 8))
    once = stretched(image).astype(int)
    assert np.abs(once - stretched(120 + 3 * image)).max() <= 1
    assert abs(once.mean() - 128) < 1
    assert once.min() >= 1
    assert {1, 255} & set(once.ravel())


def test_a_flat_image_is_mid_grey():
    assert stretched(np.full((2, 2), 7.0)).tolist() == [[128, 128], [128, 128]]

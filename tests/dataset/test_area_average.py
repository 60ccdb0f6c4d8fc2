from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.dataset.area_average import area_average, fit_aspect, overlaps, to_luminance
from inception_loop.errors import DataError


def test_whole_blocks_give_exact_block_means():
    images = np.random.default_rng(1).integers(0, 256, (5, 108, 192), dtype=np.uint8)
    blocks = images.reshape(5, 36, 3, 64, 3).astype(np.int64).sum(axis=(2, 4))
    np.testing.assert_array_equal(area_average(images, 36, 64), (blocks / 9).astype(np.float32))


def test_an_image_of_the_right_size_is_unchanged():
    images = np.random.default_rng(2).integers(0, 256, (3, 36, 64), dtype=np.uint8)
    np.testing.assert_array_equal(area_average(images, 36, 64), images.astype(np.float32))


def test_broken_ratios_equal_the_mean_of_a_finer_grid():
    image = np.random.default_rng(3).integers(0, 256, (1, 5, 7), dtype=np.uint8)
    fine = image.repeat(3, axis=1).repeat(4, axis=2).astype(np.int64)  # 15×28: blocks of 5×7 make 3×4
    want = fine.reshape(1, 3, 5, 4, 7).mean(axis=(2, 4))
    np.testing.assert_allclose(area_average(image, 3, 4), want, rtol=1e-6)


@given(st.integers(1, 60), st.integers(1, 60))
def test_every_cell_weighs_the_same_and_every_pixel_is_used_up(source, target):
    weights = overlaps(source, target)
    np.testing.assert_array_equal(weights.sum(axis=1), source)
    np.testing.assert_array_equal(weights.sum(axis=0), target)


def test_turning_the_image_turns_the_average():
    images = np.random.default_rng(4).integers(0, 256, (2, 50, 90), dtype=np.uint8)
    np.testing.assert_array_equal(
        area_average(images.transpose(0, 2, 1), 64, 36), area_average(images, 36, 64).transpose(0, 2, 1)
    )


def test_another_aspect_ratio_is_refused():
    with pytest.raises(DataError, match=r"112×112.*letterbox"):
        fit_aspect(np.zeros((1, 112, 112), np.uint8), 36, 64, "refuse", 0)


def test_crop_keeps_the_centre():
    images = np.arange(112, dtype=np.uint8)[None, :, None].repeat(112, axis=2)
    got = fit_aspect(images, 36, 64, "crop", 0)
    assert got.shape == (1, 63, 112)
    assert got[0, 0, 0] == 24
    wide = fit_aspect(np.zeros((1, 36, 100), np.uint8), 36, 64, "crop", 0)
    assert wide.shape == (1, 36, 64)


def test_letterbox_keeps_the_image_and_fills_around_it():
    got = fit_aspect(np.full((1, 112, 112), 200, np.uint8), 36, 64, "letterbox", 127.5)
    assert got.shape == (1, 112, 199)
    assert (got[:, :, 43:155] == 200).all()
    assert got.astype(np.float64).sum() == 200 * 112 * 112 + 127.5 * 112 * 87


def test_luminance_follows_the_measured_points_and_refuses_others():
    pixel, light = np.array([0.0, 100.0, 255.0]), np.array([0.0, 10.0, 165.0])
    got = to_luminance(np.array([[[0, 50, 100, 255]]], np.uint8), pixel, light)
    np.testing.assert_allclose(got, [[[0, 5, 10, 165]]])
    with pytest.raises(DataError, match=r"0\.\.255"):
        to_luminance(np.array([[[0, 255]]], np.uint8), np.array([10.0, 255.0]), np.array([0.0, 1.0]))

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.dataset.area_average import (
    area_average,
    fit_aspect,
    framing,
    overlaps,
    to_luminance,
)
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


def obvious_average(image, row, col):
    """Sum every pixel's share of every cell, in exact fractions."""
    height, width = image.shape
    out = np.empty((row, col), np.float32)
    for r, c in product(range(row), range(col)):
        total = Fraction(0)
        for y, x in product(range(height), range(width)):
            high = min(Fraction(r + 1, row), Fraction(y + 1, height)) - max(
                Fraction(r, row), Fraction(y, height)
            )
            wide = min(Fraction(c + 1, col), Fraction(x + 1, width)) - max(
                Fraction(c, col), Fraction(x, width)
            )
            if high > 0 and wide > 0:
                total += int(image[y, x]) * high * wide
        out[r, c] = np.float32(float(total * row * col))
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_any_ratio_equals_the_obvious_average_to_the_last_bit(height, width, row, col, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    np.testing.assert_array_equal(area_average(image[None], row, col)[0], obvious_average(image, row, col))


@pytest.mark.parametrize(("height", "width"), [(100, 177), (1080, 1921), (144, 250), (97, 128)])
def test_a_constant_picture_stays_that_constant_exactly_at_any_ratio(height, width):
    for value in (1, 127, 255):
        images = np.full((2, height, width), value, np.uint8)
        assert (area_average(images, 36, 64) == value).all()


def test_whole_grey_levels_give_the_same_frames_as_floats_and_as_bytes():
    images = np.random.default_rng(5).integers(0, 256, (4, 100, 190), dtype=np.uint8)
    for row, col in ((36, 64), (50, 95)):
        got = area_average(images.astype(np.float32), row, col)
        np.testing.assert_array_equal(got, area_average(images, row, col))


def test_blocks_of_images_do_not_change_their_frames(monkeypatch):
    images = np.random.default_rng(6).integers(0, 256, (7, 30, 40), dtype=np.uint8)
    whole = [area_average(images, *size) for size in ((10, 20), (7, 9))]
    monkeypatch.setattr("inception_loop.dataset.area_average.BLOCK_BYTES", 2 * 4 * 30 * 40)
    for size, want in zip(((10, 20), (7, 9)), whole, strict=True):
        np.testing.assert_array_equal(area_average(images, *size), want)


SIDES = st.integers(8, 200)


@given(SIDES, SIDES, st.integers(1, 40), st.integers(1, 40))
def test_crop_and_letterbox_are_centred_and_fit_afterwards(height, width, row, col):
    if round(height * col / row) == 0 or round(width * row / col) == 0:
        return
    marks = 1 + np.arange(height * width, dtype=np.float32).reshape(1, height, width)
    cut = fit_aspect(marks, row, col, "crop", 0)
    assert framing(cut.shape[1:], row, col, "refuse") == "as shown"
    top, left = divmod(int(cut[0, 0, 0]) - 1, width)
    np.testing.assert_array_equal(cut[0], marks[0, top : top + cut.shape[1], left : left + cut.shape[2]])
    assert 0 <= height - cut.shape[1] - 2 * top <= 1
    assert 0 <= width - cut.shape[2] - 2 * left <= 1
    framed = fit_aspect(marks, row, col, "letterbox", 0)
    assert framing(framed.shape[1:], row, col, "refuse") == "as shown"
    ys, xs = np.nonzero(framed[0])
    np.testing.assert_array_equal(framed[0, ys[0] : ys[0] + height, xs[0] : xs[0] + width], marks[0])
    assert len(ys) == height * width
    assert 0 <= framed.shape[1] - height - 2 * ys[0] <= 1
    assert 0 <= framed.shape[2] - width - 2 * xs.min() <= 1


def test_luminance_of_grey_levels_between_whole_ones():
    pixel, light = np.array([0.0, 100.0, 255.0]), np.array([0.0, 10.0, 165.0])
    got = to_luminance(np.array([[[0.5, 99.5, 100.5, 254.25]]], np.float32), pixel, light)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[[0.05, 9.95, 10.5, 164.25]]], rtol=1e-6)
    with pytest.raises(DataError, match=r"-1\.\.3"):
        to_luminance(np.array([[[-1.0, 3.0]]], np.float32), pixel, light)
    with pytest.raises(DataError, match="nan"):
        to_luminance(np.array([[[np.nan, 3.0]]], np.float32), pixel, light)

"""Bytes for a rig show the wanted mean and contrast, and give the picture back when averaged."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from inception_loop.animals.rig import RigConfig, calibrate
from inception_loop.dataset.area_average import area_average
from inception_loop.errors import DataError
from inception_loop.images.contrast import match_contrast
from inception_loop.images.monitor.calibration import process_calibration
from inception_loop.images.monitor.gamma import GREY, Monitor
from inception_loop.images.monitor.rig_bytes import GOOD, rig_bytes, zoom_images
from inception_loop.images.monitor.shown_target import PUBLISHED
from inception_loop.pictures.gabor import gabor
from inception_loop.pictures.natural import natural_images

RIG = RigConfig()
BLACK, WHITE = RIG.luminance


def truth(grey):
    return BLACK + (WHITE - BLACK) * (grey / 255) ** RIG.gamma


TRUE = Monitor(np.arange(256.0), truth(np.arange(256.0)))


def gabors():
    shape = {"center_x": 30.2, "center_y": 17.0, "wavelength": 10.0, "phase": 1.0}
    return np.stack([110 + 60 * gabor(36, 64, orientation=k, sigma=2.0 + k, **shape) for k in range(5)])


@pytest.fixture(scope="module")
def pictures():
    """Natural crops, Gabors on an even ground, and smooth noise."""
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(4, 36, 64)), (0, 1.5, 1.5))
    natural = natural_images(8, height=36, width=64, seed=0, n_sources=2).pixels
    return np.concatenate([natural.astype(np.float64), gabors(), 110 + 60 * noise])


@pytest.fixture(scope="module")
def shown(pictures):
    return rig_bytes(pictures, 10, 2, monitor=TRUE)


@pytest.mark.parametrize("number", range(6))
def test_bytes_show_the_published_mean_and_contrast_by_the_true_monitor(number, pictures):
    measured = calibrate(RIG, 0, np.random.default_rng(number))
    monitor = process_calibration(measured.pixel_value, measured.luminance).monitor
    target, zoom = PUBLISHED[number]
    found = rig_bytes(pictures, target.mean, target.contrast, monitor=monitor, zoom=zoom)
    assert np.abs(found.mean / target.mean - 1).max() < 0.007
    assert np.abs(found.contrast / target.contrast - 1).max() < 0.007
    light = truth(found.images.astype(np.float64))
    assert np.abs(light.mean((1, 2)) / target.mean - 1).max() < 0.01
    assert np.abs(light.std((1, 2)) / target.contrast - 1).max() < 0.015


def test_what_is_reported_is_what_the_bytes_show(shown):
    light = TRUE.levels[shown.images].reshape(len(shown.images), -1)
    assert np.allclose(shown.mean, light.mean(1), rtol=1e-12)
    assert np.allclose(shown.contrast, light.std(1), rtol=1e-12)
    assert (shown.at_limit == np.isin(shown.images, [0, 255]).mean((1, 2))).all()


def test_rounding_costs_next_to_nothing_where_the_ground_is_not_even(pictures):
    uneven = pictures[-4:]
    for mean, contrast, monitor in ((10, 2, TRUE), (16, 1.5, TRUE), (110, 8, GREY)):
        found = rig_bytes(uneven, mean, contrast, monitor=monitor)
        assert np.abs([found.mean / mean - 1, found.contrast / contrast - 1]).max() <= GOOD


def test_the_hair_by_which_gain_and_offset_move_only_helps(pictures, shown):
    plain = match_contrast(torch.from_numpy(TRUE.to_luminance(pictures)), 10, 2, BLACK, WHITE).numpy()
    light = TRUE.levels[TRUE.to_bytes(plain)].reshape(len(pictures), -1)
    missed = np.maximum(np.abs(light.mean(1) / 10 - 1), np.abs(light.std(1) / 2 - 1))
    misses = np.maximum(np.abs(shown.mean / 10 - 1), np.abs(shown.contrast / 2 - 1))
    assert (misses <= np.maximum(missed, GOOD) + 1e-12).all()
    assert misses.mean() < 0.6 * missed.mean()
    assert np.abs(shown.images - TRUE.to_grey(plain)).max() < 8


def test_the_order_of_brightness_is_kept_and_an_even_ground_stays_even():
    images = gabors()
    images[np.abs(images - 110) < 1] = 110
    found = rig_bytes(images, 10, 2, monitor=TRUE)
    for image, shown in zip(images, found.images, strict=True):
        assert (np.diff(shown.ravel()[image.ravel().argsort()].astype(int)) >= 0).all()
        assert len(np.unique(shown[image == 110])) == 1


def test_pixels_clip_at_black_and_white_and_the_target_is_met_all_the_same():
    found = rig_bytes(gabors(), 16, 2, monitor=TRUE)
    assert found.at_limit.max() > 0.01
    assert np.abs([found.mean / 16 - 1, found.contrast / 2 - 1]).max() < 0.006


def test_averaging_the_areas_of_repeated_pixels_gives_the_picture_back(pictures, shown):
    four = rig_bytes(pictures[-3:], 10, 2, monitor=TRUE, zoom=4)
    assert (area_average(four.images, 36, 64) == shown.images[-3:]).all()
    assert (area_average(zoom_images(pictures, 3), 36, 64) == pictures.astype(np.float32)).all()


@pytest.mark.parametrize("rule", ["linear", "cubic"])
def test_interpolated_pictures_meet_the_target_too(rule, pictures):
    found = rig_bytes(pictures[[7, 14]], 10, 2, monitor=TRUE, zoom=2, rule=rule)
    assert found.images.shape == (2, 72, 128)
    assert np.abs([found.mean / 10 - 1, found.contrast / 2 - 1]).max() < 0.01


def test_interpolation_keeps_a_ramp_and_mirrors_with_the_picture():
    ramp = np.tile(np.arange(12.0) * 10, (1, 8, 1))
    for rule in ("linear", "cubic"):
        zoomed = zoom_images(ramp, 4, rule)
        assert np.allclose(np.diff(zoomed[0, 0, 20:28]), 2.5, atol=0.05)
        assert np.allclose(zoom_images(ramp[:, :, ::-1], 4, rule), zoomed[:, :, ::-1])


def test_an_image_comes_out_alike_alone_and_among_others(pictures, shown):
    for k in (0, 10, 16):
        alone = rig_bytes(pictures[k : k + 1], 10, 2, monitor=TRUE)
        assert (alone.images[0] == shown.images[k]).all()


def test_without_a_target_images_are_rounded_as_they_are():
    image = np.array([[[-3.0, 0.4], [127.6, 300.0]]])
    assert rig_bytes(image).images.tolist() == [[[0, 0], [128, 255]]]


def test_what_cannot_be_shown_is_refused_by_name_and_number():
    dot = np.full((1, 36, 64), 110.0)
    dot[0, 3, 4] = 200
    with pytest.raises(
        DataError, match=r"mei of unit 3 reaches a contrast of \d\.\d+ cd/m² at most .*too much"
    ):
        rig_bytes(dot, 10, 2, monitor=TRUE, labels=["mei of unit 3"])
    many = np.full((9, 36, 64), 110.0)
    for row in range(9):
        many[row, 3, : row + 1] = 200  # the more bright pixels, the more contrast
    with pytest.raises(DataError) as refused:
        rig_bytes(many[::-1], 10, 3, monitor=TRUE, labels=[f"mei of unit {row}" for row in range(9, 0, -1)])
    said = str(refused.value)
    assert said.startswith("mei of unit 1 reaches a contrast of 0.29 cd/m² at most")
    assert "wanted 3.00, 2.71 too much; lower the target; too much also for mei of unit 2 by" in said
    assert said.endswith(", 3 more")
    with pytest.raises(DataError, match=r"mean 30 and .*cd/m².*it is 6\.00 beyond"):
        rig_bytes(dot, 30, 2, monitor=TRUE)
    with pytest.raises(DataError, match="image 0 is flat"):
        rig_bytes(np.full((1, 3, 3), 9.0), 10, 2, monitor=TRUE)
    with pytest.raises(DataError, match="image 0 has pixels that are no numbers"):
        rig_bytes(np.full((1, 3, 3), np.nan))

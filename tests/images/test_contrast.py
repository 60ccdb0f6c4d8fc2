"""Mean and contrast are met exactly, clipping included, as a slow search finds them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq

from inception_loop.errors import DataError
from inception_loop.images import contrast as module
from inception_loop.images.contrast import (
    can_match,
    gain_limits,
    largest_contrast,
    match_contrast,
    rms_contrast,
)

PICTURES = arrays(np.float64, (1, 5, 6), elements=st.integers(0, 40).map(float))


def slow_match(image, mean, contrast):
    """Nested root finding on the definition."""

    def clipped(gain):
        y = gain * (image - image.mean())
        offset = brentq(
            lambda b: np.clip(y + b, 0, 255).mean() - mean, -y.max() - 1e-9, 255 - y.min() + 1e-9, xtol=1e-13
        )
        return np.clip(y + offset, 0, 255)

    upper = contrast / image.std()
    while clipped(upper).std() < contrast:
        upper *= 2
    gain = brentq(lambda g: clipped(g).std() - contrast, contrast / image.std() / 2, upper, xtol=1e-13)
    return clipped(gain)


@settings(max_examples=60, deadline=None)
@given(PICTURES, st.floats(20, 235), st.floats(0.05, 0.97))
def test_matching_is_exact_and_agrees_with_a_slow_search(pictures, mean, share):
    images = torch.from_numpy(pictures)
    if pictures.std() == 0:
        return
    contrast = share * float(largest_contrast(images, mean)[0])
    shown = match_contrast(images, mean, contrast).numpy()
    assert shown.mean() == pytest.approx(mean, abs=1e-6)
    assert shown.std() == pytest.approx(contrast, abs=1e-6)
    assert shown.min() >= 0
    assert shown.max() <= 255
    assert np.abs(shown[0] - slow_match(pictures[0], mean, contrast)).max() < 1e-3


@settings(max_examples=60, deadline=None)
@given(PICTURES, st.floats(20, 235), st.floats(0.05, 0.95))
def test_matching_keeps_the_order_of_brightness(pictures, mean, share):
    images = torch.from_numpy(pictures)
    if pictures.std() == 0:
        return
    shown = match_contrast(images, mean, share * float(largest_contrast(images, mean)[0])).flatten()
    order = images.flatten().argsort(stable=True)
    assert (shown[order].diff() >= -1e-9).all()


def test_where_nothing_clips_it_is_plain_rescaling():
    image = torch.tensor([[[90.0, 110.0, 130.0]]])
    spread = float(rms_contrast(image)[0])
    assert torch.allclose(match_contrast(image, 100.0, spread / 2), torch.tensor([[[90.0, 100.0, 110.0]]]))


def test_both_ways_of_solving_agree():
    rng = np.random.default_rng(3)
    d = torch.from_numpy(rng.standard_t(3, (20, 500)))
    d = d - d.mean(1, keepdim=True)
    mean, contrast = torch.full((2, 20, 1), 90.0, dtype=torch.float64) * torch.tensor([[[1.0]], [[2 / 3]]])
    gain, offset = module._active_sets(d, mean, contrast, 0.0, 255.0)
    fast = (gain * d + offset).clamp(0, 255)
    assert torch.allclose(fast, module._bisect_gain(d, mean, contrast, 0.0, 255.0), atol=1e-6)


def test_rows_that_the_fast_way_misses_are_solved_by_the_slow_one(monkeypatch):
    images = torch.from_numpy(np.random.default_rng(4).standard_t(2, (3, 10, 20)))
    wanted = match_contrast(images, 100.0, 70.0)
    lost = torch.full((3, 1), torch.nan, dtype=torch.float64)
    monkeypatch.setattr(module, "_active_sets", lambda *a: (lost, lost))
    assert torch.allclose(match_contrast(images, 100.0, 70.0), wanted, atol=1e-6)


def test_an_image_is_matched_alike_alone_and_among_others():
    images = torch.from_numpy(np.random.default_rng(4).standard_t(2, (9, 36, 64)))
    together = match_contrast(images, 100.0, 70.0)
    assert all(torch.equal(match_contrast(images[k : k + 1], 100.0, 70.0)[0], together[k]) for k in range(9))


def test_the_largest_contrast_is_approached_by_ever_larger_gains():
    images = torch.from_numpy(np.random.default_rng(5).normal(size=(4, 6, 7)))
    d = (images - images.mean((1, 2), keepdim=True)).flatten(1)
    gains, mean = torch.full((4,), 1e7, dtype=torch.float64), torch.full((4, 1), 100.0, dtype=torch.float64)
    near = module._clip_to_mean(d, gains, mean, 0.0, 255.0)
    assert torch.allclose(near.std(1, correction=0), largest_contrast(images, 100.0), rtol=1e-3)


def test_a_contrast_that_the_range_cannot_show_is_refused_and_says_by_how_much():
    image = torch.tensor([[[0.0] * 9 + [1.0]]])
    with pytest.raises(
        DataError, match=r"image 0 reaches a contrast of 76\.50 .*wanted 80\.00, 3\.50 too much"
    ):
        match_contrast(image, 229.5 - 204.0, 80.0)
    assert not can_match(image, 25.5, 80.0)[0]
    assert can_match(image, 25.5, 76.0)[0]


def test_flat_images_and_impossible_targets_are_refused():
    flat = torch.stack([torch.rand(3, 3), torch.full((3, 3), 7.0)])
    with pytest.raises(DataError, match="image 1 is flat"):
        match_contrast(flat, 100.0, 10.0)
    with pytest.raises(DataError, match="mean 255"):
        match_contrast(flat[:1], 255.0, 10.0)
    assert can_match(flat, 100.0, 10.0).tolist() == [True, False]


def test_at_the_gain_limit_the_first_pixel_touches_the_range():
    images = torch.tensor([[[100.0, 120.0, 95.0]], [[100.0, 101.0, 50.0]]])
    mean = images.mean((1, 2), keepdim=True)
    at_limit = mean + (images - mean) * gain_limits(images)[:, None, None]
    assert at_limit[0].max().item() == pytest.approx(255)
    assert at_limit[1].min().item() == pytest.approx(0, abs=1e-4)
    assert at_limit.min() + 1e-4 >= 0
    assert at_limit.max() <= 255 + 1e-4


def test_every_image_may_have_its_own_target():
    images = torch.from_numpy(np.random.default_rng(4).standard_t(2, (3, 10, 20)))
    mean, contrast = torch.tensor([90.0, 100.0, 200.0]), torch.tensor([60.0, 5.0, 20.0])
    together = match_contrast(images, mean, contrast)
    for k in range(3):
        alone = match_contrast(images[k : k + 1], float(mean[k]), float(contrast[k]))
        assert torch.equal(together[k], alone[0])


def test_errors_call_images_and_units_by_their_names():
    flat = torch.zeros(1, 2, 2)
    with pytest.raises(
        DataError, match=r"mean 30 .* cd/m²; expected .* inside 0\.5\.\.24 \(it is 6\.00 beyond"
    ):
        match_contrast(flat, 30.0, 1.0, 0.5, 24.0, unit="cd/m²")
    with pytest.raises(DataError, match="unit 7 is flat"):
        match_contrast(flat, 3.0, 1.0, labels=["unit 7"])

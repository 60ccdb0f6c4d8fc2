"""Readings of a luminance meter: noise passes, what is no measurement of a monitor is refused in words."""

import numpy as np
import pytest

from inception_loop.errors import DataError
from inception_loop.images.monitor.measured_levels import Soundness, measured_levels

GREY = np.linspace(0, 255, 80)
LIGHT = 0.15 + 23.85 * (GREY / 255) ** 2.1


def noisy(seed, share=0.01):
    return LIGHT * (1 + np.random.default_rng(seed).normal(0, share, 80))


def changed(row, value):
    light = LIGHT.copy()
    light[row] = value
    return light


@pytest.mark.parametrize(
    ("grey", "light", "message"),
    [
        (GREY[:0], LIGHT[:0], "never measured"),
        (GREY, changed(5, np.nan), r"at grey level 16\.1392 is nan cd/m²; expected numbers"),
        (GREY, changed(slice(3, 5), -1.0), r"is -1 cd/m², and 1 more"),
        (GREY[::20], LIGHT[::20], "at 4 grey levels; expected at least 6"),
        (GREY[:-1], LIGHT[:-1], r"at grey levels 0\.\.251\.772; expected 0\.\.255"),
        (GREY[1:], LIGHT[1:], r"at grey levels 3\.22785\.\.255; expected 0\.\.255"),
        (GREY, np.full(80, 3.0), r"changes by 0\.000 cd/m² a step .*3\.00 at 255.*at least 0\.05"),
        (GREY, LIGHT / 10, r"changes by 0\.030 cd/m² a step"),
        (GREY, LIGHT[::-1], r"changes by -0\.302 cd/m² a step"),
        (GREY, noisy(0, 0.2), r"scatters by \d+\.\d% from level to level; expected at most 5\.0%"),
        (GREY, changed(40, 0.8 * LIGHT[40]), r"falls by \d\.\d+ cd/m² from grey level 125\.886 to 129\.114"),
        (
            GREY,
            LIGHT - 3 * np.exp(-((GREY - 150) ** 2) / 300) + 0.1,
            r"falls by 0\.\d+ cd/m² from grey level",
        ),
    ],
)
def test_what_is_no_measurement_is_refused_with_its_numbers(grey, light, message):
    with pytest.raises(DataError, match=message) as refused:
        measured_levels(grey, light)
    assert "\n" not in str(refused.value)


def test_noise_alone_is_never_refused():
    for seed in range(25):
        for share in (0.01, 0.03):
            measured_levels(GREY, noisy(seed, share))


def test_the_noise_is_estimated_without_the_curve():
    found = np.array([measured_levels(GREY, noisy(seed)).noise for seed in range(25)])
    assert found.mean() == pytest.approx(0.01, rel=0.1)
    assert measured_levels(GREY, LIGHT).noise < 1e-6


def test_the_largest_fall_is_that_of_all_pairs():
    light = noisy(3, 0.03)
    found = measured_levels(GREY, light)
    pairs = [(light[i] - light[j], GREY[i], GREY[j]) for j in range(80) for i in range(j)]
    assert (found.fall, found.fall_from, found.fall_to) == max(pairs)


def test_readings_in_any_order_and_several_of_a_level_are_averaged():
    order = np.random.default_rng(0).permutation(160)
    twice = np.concatenate([LIGHT * 0.99, LIGHT * 1.01])[order]
    found = measured_levels(np.tile(GREY, 2)[order], twice)
    assert np.allclose(found.luminance, LIGHT)
    assert (found.readings == 2).all()


def test_thresholds_are_configuration():
    rules = Soundness(min_step=0.01, min_levels=5)
    assert measured_levels(GREY, LIGHT / 10, rules).mean_step == pytest.approx(0.0302, abs=1e-4)
    with pytest.raises(DataError, match=r"at least 0\.5"):
        measured_levels(GREY, LIGHT, Soundness(min_step=0.5))

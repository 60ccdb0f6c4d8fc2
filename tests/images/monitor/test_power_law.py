"""The power law of a monitor is found, with errors that cover the truth."""

import numpy as np
import pytest

from inception_loop.animals.rig import RigConfig, calibrate
from inception_loop.images.monitor.power_law import fit_power_law

GREY = np.linspace(0, 255, 80)


@pytest.mark.parametrize("truth", [(24.0, 2.06, 0.1), (24.0, 0.4, 0.0), (300.0, 3.0, 2.0), (24.0, 12.0, 0.1)])
def test_a_power_law_without_noise_is_found(truth):
    range_, gamma, offset = truth
    found = fit_power_law(GREY, range_ * (GREY / 255) ** gamma + offset)
    assert [found.range, found.gamma, found.offset] == pytest.approx(truth, rel=1e-5, abs=1e-5)
    assert found.mse < 1e-10
    assert found.amplitude * 200**found.gamma + found.offset == pytest.approx(found(np.array([200.0]))[0])


@pytest.mark.parametrize("noise", ["absolute", "relative"])
def test_the_simulated_rigs_truth_lies_within_the_stated_errors(noise):
    rig = RigConfig()
    black, white = rig.luminance
    truth = np.array([white - black, rig.gamma, black, (white - black) * 255**-rig.gamma])
    z = []
    for seed in range(50):
        measured = calibrate(rig, 0, np.random.default_rng(seed))
        found = fit_power_law(measured.pixel_value, measured.luminance, noise)
        estimate = np.array([found.range, found.gamma, found.offset, found.amplitude])
        z.append((estimate - truth) / [*found.errors, found.amplitude_error])
    z = np.array(z)
    assert (np.abs(z.mean(0)) < 0.5).all()
    assert ((z.std(0) > 0.7) & (z.std(0) < 1.4)).all()
    assert ((np.abs(z) < 1.96).mean(0) > 0.85).all()


def test_weights_by_the_luminance_make_gamma_and_offset_surer():
    measured = calibrate(RigConfig(), 0, np.random.default_rng(1))
    alike, weighted = (
        fit_power_law(measured.pixel_value, measured.luminance, noise) for noise in ("absolute", "relative")
    )
    assert weighted.errors[1] < alike.errors[1] / 2
    assert weighted.errors[2] < alike.errors[2] / 5


def test_an_offset_below_zero_is_held_at_zero():
    found = fit_power_law(GREY, np.maximum(24 * (GREY / 255) ** 2 - 0.5, 0))
    assert found.offset == 0
    assert found.errors[2] == 0
    assert found.range == pytest.approx(24, rel=0.05)


def test_the_fit_is_that_of_a_general_optimiser():
    from scipy.optimize import least_squares

    measured = calibrate(RigConfig(), 0, np.random.default_rng(2))
    u, light = measured.pixel_value / 255, measured.luminance
    general = least_squares(
        lambda p: p[0] * u ** p[1] + p[2] - light, [20, 2, 1], xtol=1e-14, ftol=1e-14, gtol=1e-14
    )
    found = fit_power_law(measured.pixel_value, light)
    assert [found.range, found.gamma, found.offset] == pytest.approx(general.x, rel=1e-5)
    assert found.mse == pytest.approx(2 * general.cost / 80)

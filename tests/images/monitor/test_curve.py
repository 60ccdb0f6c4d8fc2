"""The smooth correction of a power law is a smoothing spline, as rough as the readings call for."""

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from inception_loop.images.monitor import curve as module
from inception_loop.images.monitor.curve import measured_curve, smoothed_curve, smoothing_spline
from inception_loop.images.monitor.measured_levels import measured_levels

X = np.sort(np.random.default_rng(0).random(30))
RNG = np.random.default_rng(1)
WEIGHT = RNG.uniform(0.2, 3, 30)


def test_at_a_given_penalty_it_is_scipys_smoothing_spline(monkeypatch):
    y = np.sin(6 * X) + RNG.normal(0, 0.1, 30)
    rough = np.linalg.eigvalsh(module._penalty(X) / np.sqrt(np.outer(WEIGHT, WEIGHT)))[2]
    for penalty in (1e-5, 1e-3, 10.0):
        monkeypatch.setattr(module, "PENALTIES", np.array([penalty * rough]))
        theirs = make_smoothing_spline(X, y, w=WEIGHT, lam=penalty)(X)
        assert np.allclose(smoothing_spline(X, y, WEIGHT)[1], theirs, atol=1e-7)


def test_noise_around_a_line_is_left_out_and_a_wave_is_kept():
    errors = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.1, 30) / np.sqrt(WEIGHT)
        line, wave = 2 * X - 1, np.sin(6 * X)
        errors.append([smoothing_spline(X, y + noise, WEIGHT)[1] - y for y in (line, wave)])
    line, wave = np.sqrt(np.square(errors).mean((0, 2)))
    assert line < 0.035  # 0.03 is what a straight line through 30 points would leave
    assert wave < 0.06


def test_the_likelihood_is_that_of_a_gaussian_process(monkeypatch):
    """Profiled over the noise, and of what a straight line does not explain."""
    y = np.sin(6 * X) + RNG.normal(0, 0.1, 30)
    lines = np.linalg.qr(np.stack([np.ones(30), X], 1))[0]
    others = np.linalg.eigh(np.eye(30) - lines @ lines.T)[1][:, 2:]
    bend = np.linalg.pinv(module._penalty(X), hermitian=True, rcond=1e-13)
    rough = np.linalg.eigvalsh(module._penalty(X) / np.sqrt(np.outer(WEIGHT, WEIGHT)))[2]
    offsets = []
    for penalty in (1e-4, 1e-2, 1.0):
        covariance = others.T @ (np.diag(1 / WEIGHT) + bend / penalty) @ others
        z = others.T @ y
        slow = 28 * np.log(z @ np.linalg.solve(covariance, z) / 28) + np.linalg.slogdet(covariance)[1]
        monkeypatch.setattr(module, "PENALTIES", np.array([penalty * rough]))
        offsets.append(slow - smoothing_spline(X, y, WEIGHT)[0])
    assert np.ptp(offsets) < 1e-4


def test_a_monitor_that_obeys_the_law_is_left_to_it_and_readings_without_noise_are_followed():
    grey = np.linspace(0, 255, 40)
    law = 0.2 + 20 * (grey / 255) ** 2.2
    assert np.allclose(smoothed_curve(measured_levels(grey, law)).to_luminance(grey), law, atol=1e-4)
    rises = 3 * grey / 255 + np.where(grey > 100, 0.05 * (grey - 100), 0)
    followed = smoothed_curve(measured_levels(grey, rises)).to_luminance(grey)
    assert np.abs(followed - rises).max() < 0.01 * rises.max()


def test_levels_out_of_order_become_one_point_and_black_and_white_stay():
    grey = np.arange(0.0, 256.0, 15)
    light = 10 * (grey / 255) ** 2 + 0.1
    light[[0, 1]] = light[[1, 0]]
    light[8] = light[7] - 0.01
    light[-1] = light[-2] - 0.01
    monitor = measured_curve(measured_levels(grey, light))
    assert monitor.black == pytest.approx(light[:2].mean())
    assert monitor.white == pytest.approx(light[-2:].mean())
    assert grey[7:9].mean() in monitor.pixel_value
    assert grey[7] not in monitor.pixel_value

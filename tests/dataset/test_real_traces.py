"""Real traces of a mouse rig (a pupil lost again and again, a camera clock, a wheel) by slow rules."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inception_loop.dataset.behavior import eye_samples, treadmill_samples
from inception_loop.dataset.config import ResponseWindow
from inception_loop.recordings.recording import EyeTrace, Traces, TreadmillTrace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def real():
    """Arrays of the fixtures by name; the archive is opened, nothing of it is run."""
    spec = importlib.util.spec_from_file_location("infra_wheels", ROOT / "infra" / "wheels.py")
    infra = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(infra)
    wheel = infra.find(infra.REAL_TRACES)
    if wheel is None:
        pytest.fail("the real traces are missing; expected them in .cache/wheels; run: make services")
    with zipfile.ZipFile(wheel) as archive:
        names = ("pupil_diameter", "camera_times", "wheel")
        files = {name: archive.read(f"ibllib/tests/fixtures/qc/{name}.npy") for name in names}
    return {name: np.load(io.BytesIO(data), allow_pickle=False) for name, data in files.items()}


def seen_at(make_recording, instants, window, **behavior):
    """Return a recording whose trials are read at these instants of the behaviour clock."""
    made = make_recording()
    clock = np.linspace(instants[0] - 2, instants[-1] + 2, 700)
    onset = instants - window.instant
    nothing = [float("nan")] * len(onset)
    trials = made.trials[: len(onset)].with_columns(
        clear_flip=pl.Series(nothing), onset_flip=onset, offset_flip=pl.Series(nothing)
    )
    activity = Traces(made.activity.values, clock, clock)
    return replace(made, activity=activity, trials=trials, **behavior)


def slow_read(time, values, at, duration):
    """Fill gaps of 1 and 2, convolve sample by sample, interpolate between known neighbours; else NaN."""
    values = [float(v) for v in values]
    k = 0
    while k < len(values):
        end = k
        while end < len(values) and np.isnan(values[end]):
            end += 1
        if 0 < end - k < 3 and k > 0 and end < len(values):
            left, right = values[k - 1], values[end]
            for i in range(k, end):
                values[i] = left + (right - left) * (i - k + 1) / (end - k + 1)
        k = end + 1
    dt = float(np.median(np.diff(time)))
    half = int(duration / dt + 1e-6)
    weights = [0.54 - 0.46 * np.cos(2 * np.pi * i / (2 * half)) if half else 1.0 for i in range(2 * half + 1)]
    out = []
    for t in at:
        right = next((i for i in range(len(time)) if time[i] > t), None)
        if right is None or right == 0 or time[right] - time[right - 1] > 3.5 * dt:
            out.append(np.nan)
            continue
        two = []
        for i in (right - 1, right):
            inside = [j for j in range(i - half, i + half + 1) if 0 <= j < len(values)]
            mass = sum(weights[j - i + half] for j in inside)
            two.append(sum(weights[j - i + half] * values[j] for j in inside) / mass)
        share = (t - time[right - 1]) / (time[right] - time[right - 1])
        out.append(two[0] * (1 - share) + two[1] * share)
    return np.array(out)


@pytest.mark.parametrize("view", [0, 1])
def test_a_real_pupil_is_read_by_the_rule_of_gaps(make_recording, real, view):
    diameter, time = real["pupil_diameter"][:, view], real["camera_times"].astype(np.float64)[:200]
    window = ResponseWindow(duration=0.1)
    at = np.arange(time[0] + 0.11, time[-1] - 0.11, 0.0571)
    eye = EyeTrace(time, diameter / 2, diameter, -diameter)
    recording = seen_at(make_recording, at, window, eye=eye)
    table, filled = eye_samples(recording, window)
    got = table["pupil"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    want = slow_read(time, diameter / 2, at[: len(got)], 0.1)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    assert filled == (3 * 8 if view == 0 else 0)  # four gaps of 2 in each of three traces; 4, 4 and 7 stay
    lost = np.isnan(got)
    assert (0 < lost.sum() < len(lost)) if view == 0 else not lost.any()
    assert 7 < np.nanmin(got) < np.nanmax(got) < 12  # px, as the camera saw it


def test_a_real_wheel_is_read_as_speed_and_not_across_the_holes_of_its_clock(make_recording, real):
    time, position = real["wheel"].T
    velocity = np.gradient(position, time)
    window = ResponseWindow(duration=0.05)
    at = np.arange(time[0] + 0.06, time[-1] - 0.06, 0.0131)
    recording = seen_at(make_recording, at, window, treadmill=TreadmillTrace(time, velocity))
    table, _ = treadmill_samples(recording, window)
    got = table["treadmill"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    want = np.abs(slow_read(time, velocity, at[: len(got)], 0.05))
    np.testing.assert_allclose(got, want, rtol=1e-9)
    assert 0 < np.isnan(got).sum() < len(got)
    assert (got[~np.isnan(got)] >= 0).all()


def test_a_real_camera_clock_is_regular_enough_to_be_filtered(real):
    time = real["camera_times"].astype(np.float64)
    assert (np.diff(time) > 0).all()
    assert np.ptp(np.diff(time)) < 1e-4  # stored as float32, whose step at 60 s is 4 µs

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inception_loop.dataset.behavior import behavior_instants, eye_samples, treadmill_samples
from inception_loop.dataset.config import ResponseWindow
from inception_loop.recordings.recording import EyeTrace, TreadmillTrace

WINDOW = ResponseWindow()


def instants(recording):
    return 1000 + 1.0001 * (recording.trials["onset_flip"].to_numpy() + 0.3)


def test_instants_are_mapped_through_two_clocks_with_drift(make_recording):
    r = make_recording()
    np.testing.assert_allclose(behavior_instants(r, WINDOW), instants(r), rtol=1e-12)


def test_instants_follow_clocks_that_drift_and_jump(make_recording):
    """The behaviour clock runs 2 % fast, and was set 7.25 s forward between frames 300 and 301."""
    r = make_recording()
    frames = r.activity.frame_times
    behavior = 1000 + 1.02 * frames
    behavior[301:] += 7.25
    got = behavior_instants(replace(r, activity=replace(r.activity, behavior_frame_times=behavior)), WINDOW)
    at = r.trials["onset_flip"].to_numpy() + 0.3
    want = 1000 + 1.02 * at + 7.25 * np.clip((at - frames[300]) / 0.1, 0, 1)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert 0 < (at < frames[300]).sum() < at.size


@pytest.mark.parametrize(("lost", "valid"), [(1, True), (2, True), (3, False)])
@pytest.mark.parametrize("name", ["pupil_radius", "center_x", "center_y"])
def test_a_gap_below_three_samples_is_filled_and_a_gap_of_three_is_kept(make_recording, lost, valid, name):
    r = make_recording()
    time = r.eye.time
    lines = {
        "pupil_radius": 20 + 0.5 * (time - 1000),
        "center_x": 0.02 * (time - 1000),
        "center_y": time - 900,
    }
    at = instants(r)[25]
    middle = int(np.searchsorted(time, at))
    gappy = lines | {name: lines[name].copy()}
    gappy[name][middle : middle + lost] = np.nan
    table, filled = eye_samples(replace(r, eye=EyeTrace(time, **gappy)), WINDOW)
    whole, _ = eye_samples(replace(r, eye=EyeTrace(time, **lines)), WINDOW)
    assert filled == (lost if valid else 0)
    assert table["valid"].to_list()[25] == valid
    if valid:
        np.testing.assert_allclose(table.drop("valid"), whole.drop("valid"), rtol=1e-9)
    column = "pupil" if name == "pupil_radius" else name
    assert (table[column].null_count() > 0) == (not valid)
    assert table[column].null_count() == (~table["valid"]).sum()


@pytest.mark.parametrize("rate", [20.0, 30.0, 59.94])
def test_the_derivative_of_a_ramp_is_its_slope_at_every_camera_rate(make_recording, rate):
    r = make_recording()
    time = np.arange(r.eye.time[0], r.eye.time[-1], 1 / rate)
    zero = np.zeros(time.size)
    table, _ = eye_samples(replace(r, eye=EyeTrace(time, 30 - 0.25 * (time - 1000), zero, zero)), WINDOW)
    np.testing.assert_allclose(table["dpupil"], -0.25, rtol=1e-9)
    np.testing.assert_allclose(table["pupil"], 30 - 0.25 * (instants(r) - 1000), rtol=1e-9)


def test_a_linear_eye_trace_is_read_exactly(make_recording):
    r = make_recording()
    time = r.eye.time
    r = replace(r, eye=EyeTrace(time, 3 + 0.5 * (time - 1000), 0.02 * (time - 1000), 7 - 0.1 * (time - 1000)))
    table, filled = eye_samples(r, WINDOW)
    at = instants(r) - 1000
    assert filled == 0
    assert table["valid"].all()
    np.testing.assert_allclose(table["pupil"], 3 + 0.5 * at)
    np.testing.assert_allclose(table["dpupil"], 0.5)
    np.testing.assert_allclose(table["center_x"], 0.02 * at)
    np.testing.assert_allclose(table["center_y"], 7 - 0.1 * at)


def test_gaps_of_two_samples_are_filled_and_longer_ones_lose_the_trials_whose_filter_touches_them(
    make_recording,
):
    r = make_recording()
    at = instants(r)
    radius = r.eye.pupil_radius.copy()
    short = int(np.searchsorted(r.eye.time, at[10]))
    long = int(np.searchsorted(r.eye.time, at[30]))
    radius[short : short + 2] = np.nan
    radius[long : long + 3] = np.nan
    table, filled = eye_samples(replace(r, eye=replace(r.eye, pupil_radius=radius)), WINDOW)
    assert filled == 2
    whole, _ = eye_samples(r, WINDOW)
    lost = ~table["valid"].to_numpy()
    gap = r.eye.time[[long, long + 2]]
    touched = (at > gap[0] - 0.5 - 0.05) & (at < gap[1] + 0.5 + 0.05)
    np.testing.assert_array_equal(lost, touched)
    assert table.filter(~table["valid"])["pupil"].null_count() == lost.sum()
    assert table["center_x"].null_count() == 0
    np.testing.assert_allclose(table["pupil"].to_numpy()[~lost], whole["pupil"].to_numpy()[~lost], rtol=1e-3)


def test_running_is_the_absolute_value_of_the_filtered_velocity(make_recording):
    r = make_recording()
    time = r.eye.time
    r = replace(r, treadmill=TreadmillTrace(time, -4.0 - 0.01 * (time - 1000)))
    table, _ = treadmill_samples(r, WINDOW)
    np.testing.assert_allclose(table["treadmill"], 4 + 0.01 * (instants(r) - 1000))


def test_fast_trembling_cancels_before_the_absolute_value(make_recording):
    r = make_recording()
    flip = np.where(np.arange(r.eye.time.size) % 2, 5.0, -5.0)
    table, _ = treadmill_samples(replace(r, treadmill=TreadmillTrace(r.eye.time, flip)), WINDOW)
    assert table["treadmill"].max() < 0.1


@pytest.mark.parametrize("part", ["eye", "treadmill"])
def test_what_was_not_recorded_is_missing_in_every_trial(make_recording, part):
    read = eye_samples if part == "eye" else treadmill_samples
    table, filled = read(replace(make_recording(), **{part: None}), WINDOW)
    assert filled == 0
    assert not table["valid"].any()
    assert table.height == make_recording().trials.height


def test_a_trial_without_an_onset_has_no_behaviour(make_recording):
    r = make_recording()
    onset = r.trials["onset_flip"].to_numpy().copy()
    onset[3] = np.nan
    table, _ = eye_samples(replace(r, trials=r.trials.with_columns(onset_flip=onset)), WINDOW)
    assert np.flatnonzero(~table["valid"].to_numpy()).tolist() == [3]

"""The rig: clocks, and traces that give the responses back without leaking."""

from dataclasses import replace

import numpy as np
import pytest

from inception_loop.animals import rig
from inception_loop.animals.rig import RigConfig

CONFIG = RigConfig(dropped_frames=0, cut_frame=False)


@pytest.fixture(scope="module")
def timeline(session):
    return rig.schedule(session, CONFIG, np.random.default_rng(1))


def read_back(traces, delay, timeline, sample):
    """Read all traces at all trials by the slow rule."""
    times = timeline.frame_times
    return np.stack(
        [
            sample(times + d, trace[: len(times)], timeline.onset + 0.3, 0.5)
            for trace, d in zip(traces, delay, strict=True)
        ],
        axis=1,
    )


def test_images_stay_on_as_long_as_asked_and_gaps_lie_in_their_range(timeline):
    np.testing.assert_allclose(timeline.offset - timeline.onset, 0.5)
    gap = timeline.onset - timeline.clear
    assert gap.min() >= 0.3 - 1e-9
    assert gap.max() <= 0.5 + 1e-9
    np.testing.assert_allclose(timeline.clear[1:], timeline.offset[:-1])
    refreshes = (timeline.onset - timeline.onset[0]) * 60
    np.testing.assert_allclose(refreshes, refreshes.round(), atol=1e-6)


def test_frames_cover_all_trials_and_the_behaviour_clock_drifts(timeline):
    assert timeline.frame_times[0] < timeline.clear[0] - 0.5
    assert timeline.frame_times[-1] > timeline.offset[-1] + 0.5
    behavior = timeline.to_behavior(timeline.frame_times)
    np.testing.assert_allclose(np.diff(behavior) / np.diff(timeline.frame_times), 1 + CONFIG.drift, rtol=1e-6)
    assert behavior[0] == pytest.approx(CONFIG.behavior_clock_s)


def test_the_rule_of_the_data_set_reads_the_responses_back_within_two_percent(timeline, sample):
    rng = np.random.default_rng(2)
    responses = rng.gamma(1.0, 1.0, (len(timeline.onset), 6)).astype(np.float32)
    delay = np.linspace(0, 0.09, 6)
    traces = rig.traces(responses, delay, timeline, CONFIG, rng)
    read = read_back(traces, delay, timeline, sample)
    np.testing.assert_allclose(read, responses, rtol=0.02)
    assert (read / responses).mean() == pytest.approx(1, abs=0.002)
    later, before = read[1:] - read.mean(axis=0), read[:-1] - read.mean(axis=0)
    own = responses[1:] - responses.mean(axis=0), responses[:-1] - responses.mean(axis=0)
    assert (later * before).mean() / read.var() == pytest.approx(
        (own[0] * own[1]).mean() / read.var(), abs=0.01
    )


def test_a_response_does_not_leak_into_any_other_trial(timeline, sample):
    responses = np.zeros((len(timeline.onset), 1), dtype=np.float32)
    responses[100] = 1
    traces = rig.traces(responses, np.array([0.03]), timeline, CONFIG, np.random.default_rng(1))
    read = read_back(traces, [0.03], timeline, sample)[:, 0]
    assert read[100] == pytest.approx(1, rel=0.02)
    assert np.abs(np.delete(read, 100)).max() == 0


def test_a_lost_frame_and_a_cut_one_change_no_response(timeline, sample):
    rng = np.random.default_rng(2)
    responses = rng.gamma(1.0, 1.0, (len(timeline.onset), 2)).astype(np.float32)
    delay = np.array([0.0, 0.06])
    lossy = RigConfig(dropped_frames=5, cut_frame=True)
    traces = rig.traces(responses, delay, timeline, lossy, np.random.default_rng(3))
    assert traces.shape[1] == len(timeline.frame_times) + 1
    assert np.isnan(traces).all(axis=0).sum() == np.isnan(traces).any(axis=0).sum() == 5
    whole = rig.traces(responses, delay, timeline, CONFIG, np.random.default_rng(3))
    np.testing.assert_array_equal(
        read_back(traces, delay, timeline, sample), read_back(whole, delay, timeline, sample)
    )


def test_frames_lost_within_responses_cost_little_when_interpolated_and_much_when_taken_as_silence(
    session, sample
):
    short = replace(session, order=session.order[:60])
    config = RigConfig(frame_hz=30.0, dropped_frames=0, dropped_in_pulses=40, cut_frame=False)
    timeline = rig.schedule(short, config, np.random.default_rng(1))
    responses = np.random.default_rng(2).gamma(2.0, 1.0, (60, 1)).astype(np.float32)
    lossy = rig.traces(responses, np.zeros(1), timeline, config, np.random.default_rng(1))
    assert np.isnan(lossy).sum() == 40
    interpolated = read_back(lossy, [0], timeline, sample)
    silent = read_back(np.nan_to_num(lossy), [0], timeline, sample)
    error = np.abs(interpolated / responses - 1)
    assert error.max() < 0.06
    assert np.abs(silent / responses - 1).max() > 0.15
    assert np.median(error) < 0.01


@pytest.mark.parametrize("frame_hz", [10.0, 15.0, 29.97])
def test_other_frame_rates_read_back_too(session, frame_hz, sample):
    config = RigConfig(frame_hz=frame_hz, dropped_frames=0, cut_frame=False)
    short = replace(session, order=session.order[:60])
    timeline = rig.schedule(short, config, np.random.default_rng(1))
    responses = np.random.default_rng(2).gamma(1.0, 1.0, (60, 2)).astype(np.float32)
    traces = rig.traces(responses, np.zeros(2), timeline, config, np.random.default_rng(1))
    np.testing.assert_allclose(read_back(traces, [0, 0], timeline, sample), responses, rtol=0.03)


def test_only_images_shown_once_are_spoilt_where_there_are_any(session):
    counts = np.bincount(session.order)
    for seed in range(5):
        spoilt = rig.excluded(session, RigConfig(excluded_trials=3), np.random.default_rng(seed))
        assert len(set(spoilt.tolist())) == 3
        assert (counts[session.order[spoilt]] == 1).all()


def test_the_monitor_follows_its_gamma():
    calibration = rig.calibrate(RigConfig(luminance_noise=0.0), 3, np.random.default_rng(1))
    pixel, luminance = calibration.pixel_value[1:], calibration.luminance[1:] - 0.15
    slope = np.polyfit(np.log(pixel), np.log(luminance), 1)[0]
    assert slope == pytest.approx(2.1, abs=1e-6)
    assert calibration.luminance[-1] == pytest.approx(24.0)
    assert calibration.timestamp == "2019-03-07T09:30:00"

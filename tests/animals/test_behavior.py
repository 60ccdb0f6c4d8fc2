"""Behaviour: its statistics, the devices' gaps, the reading at the trials."""

import numpy as np
import pytest

from inception_loop.animals.behavior import (
    BehaviorConfig,
    hamming_sample,
    reference_behavior,
    simulate_behavior,
)

CONFIG = BehaviorConfig()


@pytest.fixture(scope="module")
def hour():
    instants = 10 + 0.9 * np.arange(3900)
    return instants, simulate_behavior(CONFIG, instants, 0.0, 3600.0, 0.5, np.random.default_rng(3))


def test_the_reading_is_the_slow_rule(sample):
    rng = np.random.default_rng(1)
    times = 3 + np.arange(300) * 0.05
    values, at = rng.normal(size=300), rng.uniform(4, 17, 50)
    np.testing.assert_allclose(
        hamming_sample(times, values, at, 0.5), sample(times, values, at, 0.5), atol=1e-12
    )


def test_a_window_shorter_than_a_frame_filters_nothing():
    times = np.arange(10.0)
    assert hamming_sample(times, times**2, np.array([2.5]), 0.5)[0] == pytest.approx(6.5)


def test_pupil_is_about_two_standard_deviations_and_running_comes_in_bouts():
    trials, norms = reference_behavior(CONFIG)
    assert 1.8 < norms.pupil[0] / norms.pupil[1] < 2.8
    assert abs(norms.dpupil[0]) < 0.1 * norms.dpupil[1]
    still = trials.running < 0.5
    assert 0.6 < still.mean() < 0.95
    assert trials.running.min() >= 0
    assert trials.running.max() > 8


def test_the_pupil_widens_with_running_and_goes_with_the_gaze():
    trials, _ = reference_behavior(CONFIG)
    assert 0.25 < np.corrcoef(trials.pupil, trials.running)[0, 1] < 0.65
    assert 0.1 < np.corrcoef(trials.pupil, trials.center_x)[0, 1] < 0.5


def test_the_gaze_has_the_spread_asked_for_less_what_the_window_smooths():
    _, norms = reference_behavior(CONFIG)
    for (mean, sd), wanted, spread in zip(
        (norms.center_x, norms.center_y), CONFIG.center, CONFIG.center_sd, strict=True
    ):
        assert abs(mean - wanted) < 0.3 * spread
        assert 0.8 * spread < sd < 1.1 * spread


def test_short_gaps_and_long_gaps_are_untracked_in_all_three_traces(hour):
    eye = hour[1].eye
    lost = np.isnan(eye.pupil_radius)
    np.testing.assert_array_equal(lost, np.isnan(eye.center_x))
    np.testing.assert_array_equal(lost, np.isnan(eye.center_y))
    edges = np.flatnonzero(np.diff(np.r_[0, lost.astype(int), 0]))
    lengths = edges[1::2] - edges[::2]
    assert (lengths <= 2).sum() > 100
    assert ((lengths >= 10) & (lengths <= 26)).sum() >= 8
    assert lost.mean() < 0.02


def test_the_recorded_traces_give_the_true_behaviour_back(hour, sample):
    instants, behavior = hour
    pick = slice(0, 300)
    eye, treadmill, truth = behavior.eye, behavior.treadmill, behavior.trials
    for seen, true in (
        (eye.pupil_radius, truth.pupil),
        (eye.center_x, truth.center_x),
        (eye.center_y, truth.center_y),
    ):
        read = sample(eye.time[:7000], seen[:7000], instants[pick], 0.5)
        assert np.corrcoef(read, true[pick])[0, 1] > 0.99
    read = np.abs(sample(treadmill.time[:7000], treadmill.velocity[:7000], instants[pick], 0.5))
    np.testing.assert_allclose(read, truth.running[pick], atol=0.1)


def test_the_same_generator_gives_the_same_behaviour_and_another_seed_another():
    def run(seed):
        return simulate_behavior(CONFIG, np.array([5.0]), 0.0, 60.0, 0.5, np.random.default_rng(seed))

    np.testing.assert_array_equal(run(1).eye.center_x, run(1).eye.center_x)
    assert run(1).trials.pupil[0] != run(2).trials.pupil[0]

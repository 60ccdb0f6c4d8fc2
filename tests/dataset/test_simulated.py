"""The measured responses, eye and running of a simulated animal against what they truly were."""

from __future__ import annotations

import numpy as np
import pytest

from inception_loop.animals import rig
from inception_loop.animals.rig import RigConfig
from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
from inception_loop.dataset.behavior import eye_samples, treadmill_samples
from inception_loop.dataset.config import ResponseWindow
from inception_loop.dataset.responses import respond, soma_rows


@pytest.fixture(scope="module")
def day():
    session = natural_session(NaturalSessionConfig(n_train=300, n_repeated=10, repeats=5))
    return SimulatedAnimal(SimulatedConfig(n_units=40)).record(session, 0)


def test_responses_scatter_about_the_true_expectation_with_the_true_noise(day):
    recording, truth = day
    responses, status, *_ = respond(recording, recording.excluded_trials, ResponseWindow())
    used = np.isin(truth.trial_idx, status.filter(status="")["trial_idx"].to_numpy())
    expected = truth.expected[used]
    unit = recording.units["unit_id"].to_numpy()[soma_rows(recording.units)]
    np.testing.assert_array_equal(unit, truth.units["unit_id"])
    noise = truth.units["fano"].to_numpy() * expected.mean(0)
    scatter = (responses - expected) / np.sqrt(noise)
    trials = len(expected)
    assert abs(scatter.mean()) < 4 / np.sqrt(trials * len(unit))
    assert scatter.var() == pytest.approx(1, abs=0.05)


@pytest.fixture(scope="module")
def long_day():
    """1,200 trials of 60 cells at 15 Hz, some frames lost in them, and the behaviour as it truly was."""
    session = natural_session(NaturalSessionConfig(n_train=1000, n_repeated=20, repeats=10))
    config = SimulatedConfig(n_units=60, rig=RigConfig(frame_hz=15.0, dropped_in_pulses=30))
    seen = []

    def spied(timeline, behavior, rng):
        seen.append(watch(timeline, behavior, rng))
        return seen[-1]

    watch = rig.watch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rig, "watch", spied)
        recording, truth = SimulatedAnimal(config).record(session, 0)
    return recording, truth, seen[0].trials


def test_every_unit_follows_its_true_drive_at_its_ceiling(long_day):
    recording, truth, _ = long_day
    responses, status, filled, *_ = respond(recording, recording.excluded_trials, ResponseWindow())
    used = np.isin(truth.trial_idx, status.filter(status="")["trial_idx"].to_numpy())
    drive = truth.expected[used].astype(np.float64)
    noise = truth.units["fano"].to_numpy() * drive.mean(0)  # the variance of a trial is Fano × its mean
    ceiling = np.sqrt(drive.var(0) / (drive.var(0) + noise))
    got = np.array([np.corrcoef(r, d)[0, 1] for r, d in zip(responses.T, drive.T, strict=True)])
    z = (np.arctanh(got) - np.arctanh(ceiling)) * np.sqrt(len(drive) - 3)
    assert filled > 0
    assert abs(np.mean(got - ceiling)) < 0.005
    assert np.abs(z).max() < 5  # skewed noise scatters a little more than Fisher's z allows a Gaussian
    assert z.std() < 1.5


def test_eye_and_running_are_recovered_where_they_were_tracked(long_day):
    recording, _, true = long_day
    eye, _ = eye_samples(recording, ResponseWindow())
    running, _ = treadmill_samples(recording, ResponseWindow())
    for name, known in (("pupil", true.pupil), ("center_x", true.center_x), ("center_y", true.center_y)):
        tracked = eye["valid"].to_numpy()
        assert tracked.mean() > 0.9
        assert np.corrcoef(eye[name].to_numpy()[tracked], known[tracked])[0, 1] > 0.99, name
    tracked = running["valid"].to_numpy()
    assert np.corrcoef(running["treadmill"].to_numpy()[tracked], true.running[tracked])[0, 1] > 0.99

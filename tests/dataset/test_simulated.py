"""The measured responses, eye and running of a simulated animal against what they truly were."""

from __future__ import annotations

import numpy as np
import pytest

from inception_loop.animals.session import NaturalSessionConfig, natural_session
from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
from inception_loop.dataset.config import ResponseWindow
from inception_loop.dataset.responses import respond, soma_rows


@pytest.fixture(scope="module")
def day():
    session = natural_session(NaturalSessionConfig(n_train=300, n_repeated=10, repeats=5))
    return SimulatedAnimal(SimulatedConfig(n_units=40)).record(session, 0)


def test_responses_scatter_about_the_true_expectation_with_the_true_noise(day):
    recording, truth = day
    responses, status, _ = respond(recording, recording.excluded_trials, ResponseWindow())
    used = np.isin(truth.trial_idx, status.filter(status="")["trial_idx"].to_numpy())
    expected = truth.expected[used]
    unit = recording.units["unit_id"].to_numpy()[soma_rows(recording.units)]
    np.testing.assert_array_equal(unit, truth.units["unit_id"])
    noise = truth.units["fano"].to_numpy() * expected.mean(0)
    scatter = (responses - expected) / np.sqrt(noise)
    trials = len(expected)
    assert abs(scatter.mean()) < 4 / np.sqrt(trials * len(unit))
    assert scatter.var() == pytest.approx(1, abs=0.05)

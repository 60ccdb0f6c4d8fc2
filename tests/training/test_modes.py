"""What a network is told of eye and behaviour, in predictions of trials and in an ensemble alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from inception_loop.dataset.member import load_member
from inception_loop.errors import ConfigurationError
from inception_loop.training.ensemble import Ensemble
from inception_loop.training.model import load_model
from inception_loop.training.modes import held, told
from inception_loop.training.scan_data import predict, scan_data

MODES = ("none", "training_mean", "recorded")


@pytest.fixture(scope="module")
def loaded(day_store, trained):
    """Two models, their member and its scan; the shifters and modulators do something."""
    store, dataset, _ = day_store
    models = [load_model(store, ref) for ref in trained]
    (name,) = models[0].inputs
    data = models[0].config.data
    member = load_member(store, dataset, name, data)
    return models, member, scan_data(member, data)


def test_an_input_is_left_out_held_or_as_recorded():
    own = torch.rand(4, 3)
    for mode in MODES:
        mean = held(mode, [1.0, 2.0, 3.0], "cpu")
        got = told(mode, mean, own, 4)
        want = {"none": None, "training_mean": torch.tensor([[1.0, 2.0, 3.0]]).expand(4, -1), "recorded": own}
        assert got is want[mode] or torch.equal(got, want[mode])
    assert held("training_mean", None, "cpu") is None


@pytest.mark.parametrize("eye", MODES)
@pytest.mark.parametrize("behavior", MODES)
def test_predictions_in_a_mode_are_those_of_a_scan_that_was_recorded_so(loaded, eye, behavior):
    models, _, scan = loaded
    rows, train = scan.rows("test"), scan.rows("train")

    def as_if(mode, values):
        if mode == "none":
            return None
        return values if mode == "recorded" else values[train].mean(0, keepdim=True).expand(len(values), -1)

    other = replace(scan, eye=as_if(eye, scan.eye), behavior=as_if(behavior, scan.behavior))
    got = predict(models[0].network, scan, rows, eye=eye, behavior=behavior)
    np.testing.assert_allclose(got, predict(models[0].network, other, rows), atol=1e-5)
    if (eye, behavior) != ("recorded", "recorded"):
        assert np.abs(got - predict(models[0].network, scan, rows)).max() > 1e-4


@pytest.mark.parametrize("eye", MODES)
@pytest.mark.parametrize("behavior", MODES)
def test_an_ensemble_answers_like_the_predictions_of_trials(loaded, eye, behavior):
    models, member, scan = loaded
    rows = scan.rows("test")
    ensemble = Ensemble(models, member.name, eye=eye, behavior=behavior)
    given = {
        what: values[torch.from_numpy(rows)]
        for what, values, mode in (("eye", scan.eye, eye), ("behavior", scan.behavior, behavior))
        if mode == "recorded"
    }
    pixels = torch.from_numpy(np.array(member.frames[member.frame_row[rows]]))
    want = np.mean([predict(m.network, scan, rows, eye=eye, behavior=behavior) for m in models], axis=0)
    units = torch.arange(scan.n_units)
    np.testing.assert_allclose(ensemble(pixels, units, **given), want, atol=1e-4)
    some = torch.arange(len(rows)) % scan.n_units
    paired = ensemble.paired(pixels, some, **given)
    np.testing.assert_allclose(paired, want[np.arange(len(rows)), some], atol=1e-4)


def test_values_that_are_lacking_or_that_nobody_asked_for_are_refused(loaded):
    models, member, _ = loaded
    pixels, units = torch.rand(3, 36, 64), torch.arange(2)
    recorded = Ensemble(models, member.name, eye="recorded")
    with pytest.raises(
        ConfigurationError, match=r"eye is 'recorded', the call gives none; expected \(3, 2\)"
    ):
        recorded(pixels, units)
    with pytest.raises(ConfigurationError, match=r"gives shape \(2, 2\); expected \(3, 2\)"):
        recorded(pixels, units, torch.zeros(2, 2))
    with pytest.raises(ConfigurationError, match="behavior is given with the images but is 'none'"):
        recorded(pixels, units, torch.zeros(3, 2), torch.zeros(3, 3))
    blind = Ensemble(models, member.name, eye="recorded")
    blind.inputs = replace(blind.inputs, eye_mean=None)
    assert blind(pixels, units).shape == (3, 2)
    with pytest.raises(ConfigurationError, match="eye is given with the images but was never recorded"):
        blind(pixels, units, torch.zeros(3, 2))

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch

from inception_loop.errors import ConfigurationError, TrainingError
from inception_loop.network.cores import Core
from inception_loop.network.modulators import Modulator
from inception_loop.network.readouts import FullGaussian2d, Readout
from inception_loop.network.shifters import Shifter
from inception_loop.training import stack as stack_module
from inception_loop.training.building import build_network
from inception_loop.training.config import TrainConfig
from inception_loop.training.learner import Learner
from inception_loop.training.scan_data import predict
from inception_loop.training.stack import Stack
from inception_loop.training.trainer import Job, train_network, train_networks, validation_correlation
from inception_loop.training.trial_stream import TrialStream

COURSE = TrainConfig(batch_size=24, learning_rates=(0.01,), max_epoch=2)


@pytest.fixture
def scans(toy, make_toy):
    return [toy, make_toy("b", trials=120, units=2, seed=5)]


@pytest.fixture
def strength(make_network_config):
    def make(gamma_input, **changes):
        config = make_network_config(**changes)
        core = config.core.model_copy(update={"gamma_input": gamma_input})
        return config.model_copy(update={"core": core})

    return make


def alone(job, scans):
    return train_network(job.network, scans, job.train, seed=job.seed)


def difference(one, other):
    state = other.network.state_dict()
    return max(float((v - state[name]).abs().max()) for name, v in one.network.state_dict().items())


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 5e-4)])
def test_together_each_is_what_it_is_alone(scans, strength, precision, tolerance):
    """After 14 steps: a step's gradients agree to about 1e-6, Adam and batch norm make ten of it."""
    train = COURSE.model_copy(update={"precision": precision})
    slow = train.model_copy(update={"learning_rates": (0.002,), "position_rate": 3.0})
    jobs = [Job(strength(1.0), train, 1), Job(strength(1.0), train, 2), Job(strength(300.0), slow, 1)]
    other = "float32" if precision == "bfloat16" else "bfloat16"
    for job, one in zip(jobs, train_networks(jobs, scans), strict=True):
        single = alone(job, scans)
        assert difference(one, single) < tolerance
        np.testing.assert_allclose(one.history.drop_nans(), single.history.drop_nans(), atol=tolerance)
        in_other = job._replace(train=job.train.model_copy(update={"precision": other}))
        assert difference(one, alone(in_other, scans)) > 3 * tolerance  # it is of its own precision


def test_seed_strength_and_learning_rate_act_on_their_own_member(scans, strength):
    slow = COURSE.model_copy(update={"learning_rates": (1e-6,)})
    jobs = [Job(strength(1.0), COURSE, 1), Job(strength(1e4), COURSE, 1), Job(strength(1.0), COURSE, 2)]
    one, smooth, other, still = train_networks([*jobs, Job(strength(1.0), slow, 1)], scans)
    assert smooth.history["regularizer"][1] > 100 * one.history["regularizer"][1]
    roughness = [t.network.core.layers[0].weight.diff(dim=-1).square().mean().item() for t in (one, smooth)]
    assert roughness[1] < 0.5 * roughness[0]
    assert other.history["val_corr"][0] != one.history["val_corr"][0]
    start = build_network(jobs[0].network, scans, COURSE, 1)
    moved = [
        max(
            float((p - q).detach().abs().max())
            for p, q in zip(t.network.parameters(), start.parameters(), strict=True)
        )
        for t in (one, still)
    ]
    assert moved[1] < 14.01e-6 < 1e-2 < moved[0]  # Adam moves by at most about its rate a step


def test_each_stops_at_its_own_epoch_and_goes_on_from_its_own_best(scans, strength, monkeypatch):
    script = {1: (0.0, 0.3, 0.2, 0.1, 0.4, 0.1, 0.1), 2: (0.0, 0.1, 0.2, 0.3, 0.4, 0.2, 0.2, 0.1, 0.1)}
    record, sizes, init = Learner.record, [], Stack.__init__

    def scripted(self, loss, penalty, value):
        record(self, loss, penalty, script[self.seed][self.epoch])

    def spy(self, learners, stream):
        sizes.append([learner.epoch for learner in learners])
        init(self, learners, stream)

    monkeypatch.setattr(Learner, "record", scripted)
    monkeypatch.setattr(Stack, "__init__", spy)
    train = COURSE.model_copy(update={"learning_rates": (0.01, 0.001), "patience": 2, "max_epoch": 100})
    jobs = [Job(strength(1.0), train, 1), Job(strength(1.0), train, 2)]
    both = train_networks(jobs, scans)
    assert [one.history["stage"].to_list() for one in both] == [[0, 0, 0, 0, 1, 1, 1], [0] * 7 + [1, 1]]
    assert sizes == [[0, 0]]  # the one that goes on alone is no stack
    for job, one in zip(jobs, both, strict=True):
        single = alone(job, scans)
        assert one.history["stage"].equals(single.history["stage"])
        assert difference(one, single) < 1e-3


def test_the_weights_returned_are_the_networks_own_and_the_best(scans, strength):
    train = COURSE.model_copy(update={"learning_rates": (0.05,), "max_epoch": 4})
    both = train_networks([Job(strength(1.0), train, seed) for seed in (1, 2)], scans)
    for one in both:
        assert validation_correlation(one.network, scans) == pytest.approx(one.val_corr, abs=1e-4)
        assert one.val_corr == one.history["val_corr"].max()
        for value in one.network.state_dict().values():
            assert value.untyped_storage().nbytes() == value.nbytes
        assert not one.network.training


def test_a_loss_that_is_no_number_ends_its_member_and_no_other(scans, strength):
    wild = COURSE.model_copy(update={"learning_rates": (1e30,)})
    jobs = [Job(strength(1.0), COURSE, 1), Job(strength(1.0), wild, 2)]
    sound, error = train_networks(jobs, scans)
    assert isinstance(error, TrainingError)
    assert "in epoch 1 (seed 2, network" in str(error)
    assert difference(sound, alone(jobs[0], scans)) < 1e-4


def test_a_member_without_a_number_makes_no_more_steps(scans, strength, monkeypatch):
    network = strength(1.0)
    learners = [Learner(build_network(network, scans, COURSE, seed), COURSE, seed) for seed in (1, 2)]
    stack = Stack(learners, TrialStream(scans))
    note, steps = stack._note, []

    def fails(name, losses):
        note(name, [losses[0], math.nan])
        steps.append([learner.network.core.layers[0].weight.clone() for learner in learners])

    monkeypatch.setattr(stack, "_note", fails)
    stack.epoch()
    first, last = steps[0], steps[-1]
    assert not torch.equal(first[0], last[0])
    assert torch.equal(first[1], last[1])


def test_predictions_of_the_stack_are_those_of_its_members(scans, strength):
    networks = [build_network(strength(1.0), scans, COURSE, seed) for seed in (1, 2, 3)]
    rows = scans[0].rows("test")
    each = np.stack([predict(network, scans[0], rows) for network in networks])
    stack = Stack([Learner(n, COURSE, s) for s, n in enumerate(networks)], TrialStream(scans))
    np.testing.assert_allclose(stack.predict(scans[0], rows), each, atol=1e-5)


def test_networks_of_other_shapes_batches_or_precisions_are_refused(scans, strength, make_network_config):
    def refused(network, train):
        with pytest.raises(ConfigurationError, match="in equal batches; train them apart"):
            train_networks([Job(strength(1.0), COURSE, 1), Job(network, train, 1)], scans)

    refused(make_network_config(linear=True), COURSE)
    refused(strength(1.0), COURSE.model_copy(update={"batch_size": 25}))
    refused(strength(1.0), COURSE.model_copy(update={"precision": "bfloat16"}))
    refused(strength(1.0), COURSE.model_copy(update={"round_robin": "shortest"}))


def test_what_is_drawn_at_random_is_drawn_for_each_by_its_own_seed(scans, strength, monkeypatch):
    network = strength(1.0).model_copy(update={"readout": FullGaussian2d()})
    jobs = [Job(network, COURSE, seed) for seed in (1, 2)]
    for job, one in zip(jobs, train_networks(jobs, scans), strict=True):
        assert difference(one, alone(job, scans)) < 1e-3


def test_members_of_one_configuration_are_penalised_at_once(scans, strength, monkeypatch):
    calls, penalty = [], stack_module._regularizer_of
    monkeypatch.setattr(stack_module, "_regularizer_of", lambda *a: (calls.append(a), penalty(*a))[1])
    networks = [build_network(strength(g), scans, COURSE, s) for s, g in enumerate((1.0, 1.0, 2.0))]
    stack = Stack([Learner(n, COURSE, s) for s, n in enumerate(networks)], TrialStream(scans))
    expected = [sum(n.regularizer(name).item() for name in "ab") / 2 for n in networks]
    np.testing.assert_allclose(stack.penalties(), expected, rtol=1e-5)
    assert len(calls) == 4  # two configurations, two scans


def parts():
    """One network of every part: each core, readout, shifter and modulator there is."""
    small = {"hidden_channels": 4, "input_kern": 5, "hidden_kern": 3, "layers": 2, "pool_steps": 2}
    unions = {"core": Core, "readout": Readout, "shifter": Shifter, "modulator": Modulator}
    for name, union in unions.items():
        for part in get_args(get_args(union)[0]):
            fields = {key: value for key, value in small.items() if key in part.model_fields}
            yield pytest.param({name: part(**fields)}, id=f"{name} {part.__name__}")


@pytest.mark.parametrize("part", list(parts()))
def test_networks_of_every_part_can_be_stacked(make_toy, make_network_config, part):
    scan, brief = make_toy(trials=80), COURSE.model_copy(update={"max_epoch": 1})
    network = make_network_config().model_copy(update=part)
    jobs = [Job(network, brief, seed) for seed in (1, 2)]
    for job, one in zip(jobs, train_networks(jobs, [scan]), strict=True):
        assert difference(one, alone(job, [scan])) < 1e-5

from __future__ import annotations

import numpy as np
import pytest
import torch

from inception_loop.errors import ConfigurationError, TrainingError
from inception_loop.training import alone
from inception_loop.training.building import build_network
from inception_loop.training.config import TrainConfig
from inception_loop.training.learner import Learner
from inception_loop.training.trainer import Job, train_network, train_networks

SCRIPT = (0.0, 0.2, 0.1, 0.1, 0.3, 0.2, 0.2, 0.25, 0.4, 0.3, 0.3)
"""Stage 0 waits in vain after epoch 1 and ends after 3; stage 1 improves at 4 and ends after 6; and so on."""
COURSE = TrainConfig(batch_size=96, learning_rates=(0.01, 0.003, 0.001), patience=2, max_epoch=10)


class Cut(Exception):  # noqa: N818
    """The process ends here."""


class InMemory:
    """Keeps copies, and can end the process before or after it has saved an epoch."""

    def __init__(self):
        self.states, self.cut = {}, None

    def epochs(self):
        return sorted(self.states, reverse=True)

    def load(self, epoch):
        return self.states[epoch]

    def save(self, epoch, state):
        if self.cut == ("before", epoch):
            raise Cut
        self.states[epoch] = {name: value.copy() for name, value in state.items()}
        if self.cut == ("after", epoch):
            raise Cut

    def drop(self, before):
        self.states = {epoch: state for epoch, state in self.states.items() if epoch >= before}


@pytest.fixture
def scripted(monkeypatch):
    """Let the objective of an epoch be that of the script, whatever the network does; count the epochs."""
    trained = []
    record = Learner.record

    def spy(self, loss, penalty, value):
        trained.append(self.epoch)
        record(self, loss, penalty, SCRIPT[self.epoch])

    monkeypatch.setattr(Learner, "record", spy)
    return trained


def same(one, other):
    state = other.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in one.network.state_dict().items())
    assert one.history.fill_nan(-1).equals(other.history.fill_nan(-1))
    assert one.val_corr == other.val_corr


@pytest.mark.parametrize(
    ("epoch", "when"),
    [*((epoch, "after") for epoch in range(11)), (0, "before"), (4, "before"), (10, "before")],
)
def test_cut_short_at_any_epoch_it_ends_as_if_it_had_not_been(
    toy, make_network_config, scripted, epoch, when
):
    undisturbed = train_network(make_network_config(), [toy], COURSE, seed=1)
    assert undisturbed.history["stage"].to_list() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    kept = InMemory()
    kept.cut = (when, epoch)
    with pytest.raises(Cut):
        train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=kept)
    kept.cut = None
    scripted.clear()
    resumed = train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=kept)
    same(undisturbed, resumed)
    assert scripted == list(range(epoch + (when == "after"), 11)), "an epoch that was kept is trained again"
    assert kept.epochs()[0] == 10


def test_cut_short_within_an_epoch_it_ends_as_if_it_had_not_been(toy, make_network_config, monkeypatch):
    config = TrainConfig(batch_size=24, learning_rates=(0.02, 0.005), stage_epochs=(2, 2))
    undisturbed = train_network(make_network_config(), [toy], config, seed=1)
    for at in (1, 11, 17, 25):
        steps, step, kept = iter(range(100)), Learner.step, InMemory()

        def ends(self, steps=steps, step=step, at=at):
            if next(steps) == at:
                raise Cut
            step(self)

        with monkeypatch.context() as patch:
            patch.setattr(Learner, "step", ends)
            with pytest.raises(Cut):
                train_network(make_network_config(), [toy], config, seed=1, checkpoints=kept)
        same(undisturbed, train_network(make_network_config(), [toy], config, seed=1, checkpoints=kept))


def test_a_finished_training_is_not_trained_again(toy, make_network_config, scripted):
    kept = InMemory()
    done = train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=kept)
    scripted.clear()
    same(done, train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=kept))
    assert scripted == []


def test_two_scans_of_which_only_one_was_learnt_from_resume(toy, make_toy, make_network_config):
    scans = [toy, make_toy("b", trials=120, units=2, seed=5)]
    config = TrainConfig(batch_size=48, learning_rates=(0.01,), max_epoch=3)
    undisturbed = train_network(make_network_config(), scans, config, seed=1)
    kept = InMemory()
    kept.cut = ("after", 1)
    with pytest.raises(Cut):
        train_network(make_network_config(), scans, config, seed=1, checkpoints=kept)
    kept.cut = None
    same(undisturbed, train_network(make_network_config(), scans, config, seed=1, checkpoints=kept))


def test_a_checkpoint_of_another_network_is_left_aside_with_a_line(toy, make_network_config, brief, caplog):
    other = make_network_config().model_copy(
        update={"core": make_network_config().core.model_copy(update={"hidden_channels": 3})}
    )
    kept, undisturbed = InMemory(), train_network(make_network_config(), [toy], brief, seed=1)
    train_network(other, [toy], brief, seed=1, checkpoints=kept)
    same(undisturbed, train_network(make_network_config(), [toy], brief, seed=1, checkpoints=kept))
    (line,) = {record.getMessage() for record in caplog.records}
    assert "written by another network; it is left aside" in line


def test_the_state_is_that_of_the_network_of_its_best_and_of_adam(toy, make_network_config):
    config = TrainConfig(batch_size=48, learning_rates=(0.01,), max_epoch=2)
    kept = InMemory()
    trained = train_network(make_network_config(), [toy], config, seed=1, checkpoints=kept)
    state = kept.states[2]
    for name, value in trained.network.state_dict().items():
        np.testing.assert_array_equal(state[f"best.{name}"], value)
    assert state["course"].tolist() == [2, 1, 0, trained.history["best"].to_list()[::-1].index(True)]
    network = build_network(make_network_config(), [toy], config, 1)
    learner = Learner(network, config, 1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ConfigurationError, match=r"best\.core.* of shape None; expected .*another network"):
        learner.restore({k: v for k, v in state.items() if not k.startswith("best.core")})
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_of_several_each_goes_on_from_the_epoch_that_all_had_reached(toy, make_network_config, monkeypatch):
    """Cut short between two saves, one of a stack is an epoch ahead: it takes the one before."""
    course = TrainConfig(batch_size=96, learning_rates=(0.01,), max_epoch=4)
    brief = course.model_copy(update={"max_epoch": 1})

    def jobs(kept):
        trains = zip((course, course, brief), kept, strict=True)
        return [Job(make_network_config(), t, seed, None, k) for seed, (t, k) in enumerate(trains)]

    undisturbed = train_networks(jobs([None] * 3), [toy])
    kept = [InMemory(), InMemory(), InMemory()]
    kept[1].cut = ("before", 3)
    with pytest.raises(Cut):
        train_networks(jobs(kept), [toy])
    assert [one.epochs() for one in kept] == [[3, 2], [2], [1]]
    kept[1].cut = None
    for one, other in zip(undisturbed, train_networks(jobs(kept), [toy]), strict=True):
        same(one, other)


def test_what_is_random_in_a_step_depends_on_seed_epoch_and_step_alone(toy, make_network_config):
    config = TrainConfig()
    learner = Learner(build_network(make_network_config(), [toy], config, 1), config, 1)
    draws = {}
    for epoch in (1, 2, 1):
        learner.epoch = epoch
        for step in (0, 1):
            draw = torch.rand(3, generator=learner.generator(step))
            assert torch.equal(draws.setdefault((epoch, step), draw), draw)
    assert len({tuple(draw.tolist()) for draw in draws.values()}) == 4


def test_a_loss_that_is_no_number_ends_it_without_another_step(toy, make_network_config, monkeypatch):
    steps = []
    loss = alone.poisson_loss
    monkeypatch.setattr(Learner, "step", lambda self: steps.append(1))
    monkeypatch.setattr(
        alone, "poisson_loss", lambda q, y: loss(q, y) * (float("nan") if len(steps) == 2 else 1)
    )
    config = TrainConfig(batch_size=24, learning_rates=(0.01,), max_epoch=3)
    with pytest.raises(TrainingError, match=r"the loss of a is nan in epoch 1 \(seed 7, network "):
        train_network(make_network_config(), [toy], config, seed=7)
    assert len(steps) == 2

"""States written while training goes on: the same states, never two at a time, nothing lost unsaid."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from inception_loop.training import checkpoints
from inception_loop.training.config import TrainConfig
from inception_loop.training.trainer import Job, train_network, train_networks

COURSE = TrainConfig(batch_size=48, learning_rates=(0.01, 0.003), stage_epochs=(2, 2))


class Kept:
    """Keeps every state that was ever saved, and lets the test delay or break the saving."""

    def __init__(self, *, hold=None, fail_at=None):
        self.states, self.all, self.threads = {}, {}, set()
        self.hold, self.fail_at = hold, fail_at

    def epochs(self):
        return sorted(self.states, reverse=True)

    def load(self, epoch):
        return self.states[epoch]

    def save(self, epoch, state):
        self.threads.add(threading.current_thread().name.split("_")[0])
        if epoch == self.fail_at:
            raise OSError("the store is full")
        if self.hold is not None and epoch == 0:
            self.hold.wait(10)
        self.all[epoch] = self.states[epoch] = {name: value.copy() for name, value in state.items()}

    def drop(self, before):
        self.states = {epoch: state for epoch, state in self.states.items() if epoch >= before}


@pytest.fixture
def meanwhile(monkeypatch):
    monkeypatch.setattr(checkpoints, "WRITTEN_MEANWHILE", ("cpu",))


def writers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("checkpoints")]


def test_on_a_cpu_every_epoch_is_kept_before_the_next(toy, make_network_config):
    kept = Kept()
    train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=kept)
    assert list(kept.all) == [0, 1, 2, 3, 4]
    assert kept.threads == {"MainThread"}


def test_what_a_thread_writes_are_the_states_at_the_end_of_their_epochs(
    toy, make_network_config, monkeypatch
):
    at_once, later = Kept(), Kept()
    train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=at_once)
    monkeypatch.setattr(checkpoints, "WRITTEN_MEANWHILE", ("cpu",))
    train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=later)
    assert later.threads == {"checkpoints"}
    assert writers() == []
    assert later.epochs() == [4]  # the last is there when the training returns
    for epoch, state in later.all.items():
        assert state.keys() == at_once.all[epoch].keys()
        for name, value in state.items():
            np.testing.assert_array_equal(value, at_once.all[epoch][name], err_msg=f"{epoch} {name}")


def test_while_one_is_written_others_are_passed_over_but_not_the_last(toy, make_network_config, meanwhile):
    hold, epochs = threading.Event(), []
    kept = Kept(hold=hold)

    def on_epoch(epoch):
        epochs.append(epoch.number)
        if epoch.number == 3:
            hold.set()

    train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=kept, on_epoch=on_epoch)
    assert epochs == [0, 1, 2, 3, 4]
    assert list(kept.all) == [0, 4]


def test_gone_on_from_one_that_a_thread_wrote_it_ends_the_same(toy, make_network_config, meanwhile):
    undisturbed = train_network(make_network_config(), [toy], COURSE, seed=1)
    kept = Kept()

    def ends(epoch):
        if epoch.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=kept, on_epoch=ends)
    assert writers() == []  # whoever comes next finds nobody writing
    assert kept.epochs()
    again = train_network(make_network_config(), [toy], COURSE, seed=1, checkpoints=kept)
    assert again.val_corr == undisturbed.val_corr
    for name, value in undisturbed.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value)


@pytest.mark.parametrize("at", [0, 4])
def test_an_error_in_writing_ends_the_training(toy, make_network_config, meanwhile, at):
    jobs = [Job(make_network_config(), COURSE, seed, None, Kept(fail_at=at)) for seed in (1, 2)]
    with pytest.raises(OSError, match="the store is full"):
        train_networks(jobs, [toy])
    assert writers() == []

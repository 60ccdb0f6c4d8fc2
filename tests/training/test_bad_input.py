"""What cannot be trained is refused, or told of, in one line."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pydantic
import pytest
import torch

from inception_loop.artifacts.checkpoints import StoredCheckpoints
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError, DataError, InceptionLoopError
from inception_loop.training.alone import Alone
from inception_loop.training.bad_config import FAULTS
from inception_loop.training.building import constant_units
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.learner import Learner
from inception_loop.training.stack import Stack
from inception_loop.training.trainer import Job, build_network, train_network, train_networks


def refusal(*arguments, **options):
    return refusal_of(ConfigurationError, *arguments, **options)


def refusal_of(kind, *arguments, **options):
    with pytest.raises(InceptionLoopError) as caught:
        train_network(*arguments, **options)
    assert isinstance(caught.value, kind)
    (line,) = str(caught.value).splitlines()
    return line


def test_an_image_smaller_than_the_kernel(toy, make_network_config, brief):
    config = make_network_config()
    large = config.model_copy(update={"core": config.core.model_copy(update={"input_kern": 15})})
    assert "images of 14x18 px are smaller than the core's first kernel (15 px)" in refusal(
        large, [toy], brief, seed=1
    )


def test_no_units(toy, make_network_config, brief):
    empty = dataclasses.replace(toy, responses=toy.responses[:, :0])
    line = refusal(make_network_config(), [empty], brief, seed=1)
    assert "a readout of 0 units; expected at least 1" in line


def test_a_unit_with_constant_responses_is_told_of_and_harms_nobody(toy, make_network_config, brief, caplog):
    silent = dataclasses.replace(toy, responses=toy.responses.clone())
    silent.responses[:, 1] = 2.0
    assert constant_units(silent) == [1]
    result = train_network(make_network_config(), [silent], brief, seed=1)
    assert np.isfinite(result.val_corr)
    assert all(torch.isfinite(value).all() for value in result.network.state_dict().values())
    (line,) = [record.getMessage() for record in caplog.records]
    assert "a has 1 units whose response to every training trial is the same (the first is neuron 1)" in line
    assert "\n" not in line


def test_a_batch_of_one_image():
    with pytest.raises(pydantic.ValidationError, match="batch_size is 1; expected at least 2: batch norm"):
        TrainConfig(batch_size=1)


def test_an_unknown_readout_key(toy, make_network_config, brief):
    network = build_network(make_network_config(), [toy], brief, 1)
    with pytest.raises(ConfigurationError, match="no readout key 'x' in this network; expected one of: a"):
        network(toy.images[:2], "x", None, None)


def test_a_checkpoint_cut_short_begins_anew_to_the_same_end(
    toy, make_network_config, brief, tmp_path, caplog
):
    store = open_store(str(tmp_path))
    ref = ArtifactRef(kind="model", digest="0" * 64, uri=store.uri)
    kept = StoredCheckpoints(store.backend, ref, "this machine")
    undisturbed = train_network(make_network_config(), [toy], brief, seed=1, checkpoints=kept)
    (entry,) = store.backend.walk()
    path = store.backend.local_path(entry.key)
    path.write_bytes(path.read_bytes()[:-100])
    epochs, record = [], Learner.record
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "record", lambda self, *n: (epochs.append(self.epoch), record(self, *n)))
        again = train_network(make_network_config(), [toy], brief, seed=1, checkpoints=kept)
    assert epochs == [0, 1, 2]
    assert again.val_corr == undisturbed.val_corr
    (line,) = {record.getMessage() for record in caplog.records}
    assert "is cut short or damaged" in line


@pytest.mark.parametrize(
    ("part", "what"), [("images", "an image"), ("eye", "an eye position"), ("behavior", "behaviour")]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_with_scan_and_trial(
    toy, make_network_config, brief, part, what, value
):
    wrong = getattr(toy, part).clone()
    wrong[3].view(-1)[0] = wrong[8].view(-1)[1] = value
    line = refusal_of(
        DataError, make_network_config(), [dataclasses.replace(toy, **{part: wrong})], brief, seed=1
    )
    assert f"a has {what} that is not finite in 2 trials, first in trial 3; expected finite numbers" in line


def test_an_image_that_no_trial_shows_may_be_anything(toy, make_network_config, brief):
    more = torch.cat((toy.images, torch.full_like(toy.images[:1], np.nan)))
    train_network(make_network_config(), [dataclasses.replace(toy, images=more)], brief, seed=1)


@pytest.mark.parametrize("name", ["1.2", "", "keys", "train"])
def test_a_name_that_weights_cannot_have(toy, make_network_config, brief, name):
    line = refusal(make_network_config(), [dataclasses.replace(toy, name=name)], brief, seed=1)
    assert f"a scan is called {name!r}, which torch cannot name weights after" in line


def test_two_scans_of_one_name(toy, make_network_config, brief):
    assert "2 scans are called 'a'; expected a name for each" in refusal(
        make_network_config(), [toy, toy], brief, seed=1
    )


def test_of_an_odd_number_of_trials_in_twos_none_is_left_alone(toy, make_network_config):
    """The map has one pixel: batch norm learns from the images of a batch alone."""
    odd = np.where(np.arange(len(toy.tier)) == 0, "test", toy.tier)
    small = dataclasses.replace(toy, images=toy.images[:, :, :5, :5].clone(), tier=odd)
    assert len(small.rows("train")) % 2 == 1
    train = TrainConfig(batch_size=2, learning_rates=(0.01,), max_epoch=1)
    assert np.isfinite(train_network(make_network_config(), [small], train, seed=1).val_corr)


def test_a_seed_that_no_table_holds():
    with pytest.raises(pydantic.ValidationError, match="less than 9223372036854775808"):
        ModelConfig(group_id=0, seed=2**63)
    assert ModelConfig(group_id=0, seed=2**63 - 1).seed == 2**63 - 1


def test_what_the_device_has_no_memory_for_is_told_and_smaller_stacks_are_tried(
    toy, make_network_config, brief, monkeypatch, caplog
):
    sizes, epoch = [], Stack.epoch

    def hungry(self):
        sizes.append(len(self.learners))
        if len(self.learners) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return epoch(self)

    monkeypatch.setattr(Stack, "epoch", hungry)
    jobs = [Job(make_network_config(), brief, seed) for seed in range(5)]
    results = train_networks(jobs, [toy])
    assert sizes == [5, 3, 2, 2, 2, 2]  # 5 in vain, 3 in vain, 2 for two epochs, (1,) and 2 for two epochs
    assert [one.together for one in results] == [2, 2, 1, 2, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "cpu has no memory for a stack of 5 models; expected enough; they go on as stacks of 3 and 2",
        "cpu has no memory for a stack of 3 models; expected enough; they go on as stacks of 2 and 1",
    ]
    for job, one in zip(jobs, results, strict=True):
        single = train_network(job.network, [toy], brief, seed=job.seed)
        assert one.val_corr == pytest.approx(single.val_corr, abs=1e-4)


def test_one_that_alone_is_too_large_has_its_error_and_no_other(toy, make_network_config, brief, monkeypatch):
    epoch = Alone.epoch

    def hungry(self):
        if self.learner.seed == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return epoch(self)

    def stacks(self, *arguments):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Alone, "epoch", hungry)
    monkeypatch.setattr(Stack, "__init__", stacks)
    sound, error = train_networks([Job(make_network_config(), brief, seed) for seed in (0, 1)], [toy])
    assert np.isfinite(sound.val_corr)
    assert not isinstance(error, FAULTS)  # it may pass: no configuration is to blame for good
    assert re.fullmatch(
        r"cpu has no memory for one network of 3 units \(.*\) in batches of 48; expected room .*", str(error)
    )
    with pytest.raises(InceptionLoopError, match="no memory for one network"):
        train_network(make_network_config(), [toy], brief, seed=1)


def test_what_is_wrong_with_one_job_is_not_the_others(toy, make_network_config, brief):
    core = {"layers.0.weight": np.zeros((1, 1, 5, 5), np.float32)}
    jobs = [Job(make_network_config(), brief, 1, core), Job(make_network_config(), brief, 2)]
    error, sound = train_networks(jobs, [toy])
    assert isinstance(error, ConfigurationError)
    assert np.isfinite(sound.val_corr)

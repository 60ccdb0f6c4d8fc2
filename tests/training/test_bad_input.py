"""What cannot be trained is refused, or told of, in one line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pydantic
import pytest
import torch

from inception_loop.artifacts.checkpoints import StoredCheckpoints
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError, InceptionLoopError
from inception_loop.training.building import constant_units
from inception_loop.training.config import TrainConfig
from inception_loop.training.learner import Learner
from inception_loop.training.trainer import build_network, train_network


def refusal(*arguments, **options):
    with pytest.raises(InceptionLoopError) as caught:
        train_network(*arguments, **options)
    assert isinstance(caught.value, ConfigurationError)
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

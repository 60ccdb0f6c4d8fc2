"""An own model is scored as networks are, on the same trials, by its images alone."""

from functools import partial

import numpy as np
import polars as pl
import pytest
import torch

from inception_loop.dataset.member import load_member
from inception_loop.dataset.normalization import normaliser
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.training.ensemble import load_ensemble
from inception_loop.training.own_model import (
    OwnModelConfig,
    make_own_model,
    own_loader,
    own_model,
    predict_trials,
    score_own,
)
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores

CONFIG = OwnModelConfig(group_id=1, label="mine", content="0" * 64)


@pytest.fixture(scope="module")
def member(day_store):
    store, dataset, _ = day_store
    return load_member(store, dataset, store.table(dataset, "members")["name"].item(), CONFIG.data)


@pytest.fixture(scope="module")
def linear(member):
    size = member.frames.shape[1:]
    weight = torch.randn(member.units.height, *size, generator=torch.Generator().manual_seed(0)) / 1000
    return own_model(lambda x: torch.einsum("bhw,nhw->bn", x - 110, weight), member)


def test_a_network_brought_as_an_own_model_has_its_frozen_scores(day_store, trained, member):
    store, dataset, _ = day_store
    frozen = UnitTestScoresConfig(group_id=1, eye="training_mean", behavior="none")
    expected = make_unit_test_scores(store, frozen, model=trained, dataset=dataset).ref
    ensemble = load_ensemble(store, trained, member.name, eye="training_mean", behavior="none")
    units = torch.arange(member.units.height)
    brought = own_model(lambda x: ensemble(x, units), member)
    made = make_own_model(store, CONFIG, dataset=dataset, models={member.name: brought}).ref
    for table in ("unit_test_scores", "test_scores"):
        one, other = store.table(made, table), store.table(expected, table)
        assert one.columns == other.columns
        for name, kind in one.schema.items():
            if kind == pl.Float64:
                np.testing.assert_allclose(one[name].to_numpy(), other[name].to_numpy(), rtol=1e-4, atol=1e-5)
            else:
                assert one[name].equals(other[name])


def test_outputs_in_the_unit_of_the_traces_are_brought_to_training_s_d(member, linear):
    scale = torch.from_numpy(normaliser(member.statistics, CONFIG.data).response_scale).float()
    recorded = own_model(lambda x: linear.all_units(x) * scale, member)
    one = score_own(linear, member, CONFIG)
    other = score_own(recorded, member, CONFIG.model_copy(update={"unit": "recorded"}))
    for name in ("test_corr", "feve", "fev"):
        np.testing.assert_allclose(one[name].to_numpy(), other[name].to_numpy(), rtol=1e-3, atol=1e-4)


def test_each_image_is_asked_once_and_goes_to_all_its_trials(member, linear):
    asked = []
    counting = own_model(lambda x: asked.append(len(x)) or linear.all_units(x), member)
    rows = member.trials_of("test")
    predicted = predict_trials(counting, member, rows)
    shown = np.unique(member.frame_row[rows])
    assert sum(asked) == len(shown) + 1  # and one to see how many units it has
    images = torch.from_numpy(np.array(member.frames[member.frame_row[rows]]))
    np.testing.assert_allclose(predicted, linear.all_units(images).numpy(), rtol=1e-5, atol=1e-6)


def test_the_artifact_is_named_by_content_and_dataset_and_asks_nobody_again(day_store, member, linear):
    store, dataset, _ = day_store
    config = CONFIG.model_copy(update={"content": "1" * 64})
    first = make_own_model(store, config, dataset=dataset, models={member.name: linear})
    again = make_own_model(store, config, dataset=dataset, models={})
    assert (first.cached, again) == (False, (first.ref, True))
    other = config.model_copy(update={"content": "2" * 64})
    assert make_own_model(store, other, dataset=dataset, models={member.name: linear}).ref != first.ref


def test_what_does_not_fit_is_one_clear_line(day_store, member, linear):
    store, dataset, _ = day_store
    make = partial(make_own_model, store, CONFIG.model_copy(update={"label": "bad"}), dataset=dataset)
    with pytest.raises(ConfigurationError, match="given for no scan; expected one for each of"):
        make(models={})
    few = own_model(lambda x: x.flatten(1)[:, :3], member)
    with pytest.raises(ConfigurationError, match=f"has 3 outputs; expected {member.units.height}"):
        make(models={member.name: few})
    lost = own_model(lambda x: linear.all_units(x) * float("nan"), member)
    with pytest.raises(DataError, match=r"prediction for unit 0 .* is not finite"):
        make(models={member.name: lost})


def test_images_are_asked_of_pixels_alone(linear):
    load = own_loader({"a": linear})
    assert load("a", eye="none", behavior="none", precision="float32") is linear
    with pytest.raises(ConfigurationError, match="sees the pixels alone"):
        load("a", eye="training_mean", behavior="none", precision="float32")
    with pytest.raises(ConfigurationError, match="no own model for b; expected one of a"):
        load("b", eye="none", behavior="none", precision="float32")

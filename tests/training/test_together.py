from __future__ import annotations

import math

import numpy as np
import pytest

from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.transfer import copy
from inception_loop.errors import ConfigurationError, ReservedError, TrainingError
from inception_loop.training import stack as stack_module
from inception_loop.training import trainer
from inception_loop.training.jobs import make_model_jobs
from inception_loop.training.learner import Learner
from inception_loop.training.model import MODEL, make_model
from inception_loop.training.populate import populate
from inception_loop.training.schedule import Plan
from inception_loop.training.together import make_models, together
from inception_loop.training.trainer import train_networks


@pytest.fixture(scope="module")
def brief(model_config):
    train = model_config.train.model_copy(update={"max_epoch": 1})
    return model_config.model_copy(update={"train": train})


def seeds(config, *numbers):
    return [config.model_copy(update={"seed": seed}) for seed in numbers]


@pytest.fixture
def fresh(day_store, request):
    """A store with the dataset and no model."""
    store, dataset, _ = day_store
    there = open_store(f"memory://{request.node.name}")
    (ref,) = [made.ref for made in copy(store, there, dataset) if made.ref.digest == dataset.digest]
    return there, ref


@pytest.fixture
def trained_together(monkeypatch):
    """Numbers of networks that were trained at once, one a training."""
    sizes = []

    def spy(jobs, *arguments, **options):
        sizes.append(len(jobs))
        return train_networks(jobs, *arguments, **options)

    monkeypatch.setattr("inception_loop.training.fitting.train_networks", spy)
    return sizes


def test_missing_models_are_one_stack_and_each_its_own_artifact(fresh, brief, trained_together):
    store, dataset = fresh
    configs = seeds(brief, 11, 12, 13)
    alone = make_model(store, configs[1], dataset=dataset)
    made = make_models(store, configs, dataset=dataset)
    assert trained_together == [1, 2]
    assert [outcome.ref for outcome in made] == [store.ref(MODEL, c, {"dataset": dataset}) for c in configs]
    assert [outcome.cached for outcome in made] == [False, True, False]
    assert made[1].ref == alone.ref
    assert [store.manifest(one.ref).findings.get("trained_together") for one in made] == [2, None, 2]
    assert all(one.cached for one in make_models(store, configs, dataset=dataset))
    assert trained_together == [1, 2]


def test_trained_in_a_stack_a_model_is_what_it_is_alone(fresh, day_store, brief):
    store, dataset = fresh
    configs = seeds(brief, 11, 12)
    made = make_models(store, configs, dataset=dataset)
    for config, outcome in zip(configs, made, strict=True):
        elsewhere, there, _ = day_store
        alone = make_model(elsewhere, config, dataset=there).ref
        mine, own = store.arrays(outcome.ref, "weights"), elsewhere.arrays(alone, "weights")
        for name, value in own.items():
            np.testing.assert_allclose(mine[name], value, atol=1e-4, rtol=1e-3, err_msg=name)
        assert store.table(outcome.ref, "inputs").equals(elsewhere.table(alone, "inputs"))


def test_one_that_fails_does_not_keep_the_others_from_being_committed(fresh, brief, monkeypatch):
    store, dataset = fresh
    configs = seeds(brief, 11, 12, 13)
    note = stack_module.Stack._note

    def fails(self, name, losses):
        values = [math.nan if one.seed == 12 else v for one, v in zip(self.learners, losses, strict=True)]
        note(self, name, values)

    monkeypatch.setattr(stack_module.Stack, "_note", fails)
    with pytest.raises(TrainingError, match=r"is nan in epoch 1 \(seed 12, "):
        make_models(store, configs, dataset=dataset)
    standing = [store.exists(store.ref(MODEL, config, {"dataset": dataset})) for config in configs]
    assert standing == [True, False, True]


def test_what_is_wrong_with_the_data_is_every_models_error(fresh, brief):
    store, dataset = fresh
    nowhere = brief.model_copy(update={"data": brief.data.model_copy(update={"layer": "L6"})})
    configs = seeds(nowhere, 11, 12)

    def make(config, build):
        return store.make(MODEL, config, build, {"dataset": dataset})

    errors = together(store, configs, make, dataset=dataset)
    assert {str(errors[config]) for config in configs} == {str(errors[configs[0]])}
    assert "no unit in layer 'L6'" in str(errors[configs[0]])


def test_shapes_that_differ_are_refused(fresh, brief):
    store, dataset = fresh
    wider = brief.network.core.model_copy(update={"hidden_channels": 5})
    other = brief.model_copy(update={"network": brief.network.model_copy(update={"core": wider})})
    with pytest.raises(ConfigurationError, match="differ in seeds and strengths of regularisers only"):
        make_models(store, [brief, other], dataset=dataset)


def test_one_that_another_worker_holds_is_passed_over(fresh, brief, trained_together):
    store, dataset = fresh
    configs = seeds(brief, 11, 12, 13)
    held = store.ref(MODEL, configs[0], {"dataset": dataset})
    with store.reserve(held, lambda: False), pytest.raises(ReservedError):
        make_models(store, configs, dataset=dataset, wait=False)
    assert trained_together == [2]
    assert not store.exists(held)


def test_cut_short_a_stack_goes_on_where_all_of_it_were_to_the_same_bytes(fresh, brief, monkeypatch):
    store, dataset = fresh
    config = brief.model_copy(update={"train": brief.train.model_copy(update={"max_epoch": 3})})
    configs = seeds(config, 11, 12)
    record = Learner.record

    def ends(self, *numbers):
        if self.epoch == 2 and self.seed == 12:
            raise KeyboardInterrupt
        record(self, *numbers)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "record", ends)
        with pytest.raises(KeyboardInterrupt):
            make_models(store, configs, dataset=dataset)
    epochs = []
    monkeypatch.setattr(Learner, "record", lambda self, *n: (epochs.append(self.epoch), record(self, *n)))
    resumed = [hashes(store, made) for made in make_models(store, configs, dataset=dataset)]
    assert epochs == [2, 2, 3, 3]
    there = open_store("memory://undisturbed")
    (ref,) = [made.ref for made in copy(store, there, dataset) if made.ref.digest == dataset.digest]
    assert resumed == [hashes(there, made) for made in make_models(there, configs, dataset=ref)]


def hashes(store, made):
    return {name: payload.sha256 for name, payload in store.manifest(made.ref).payloads.items()}


def strengths(config, *gammas):
    networks = [
        config.network.model_copy(
            update={"core": config.network.core.model_copy(update={"gamma_input": gamma})}
        )
        for gamma in gammas
    ]
    return [config.model_copy(update={"network": network}) for network in networks]


def test_strengths_of_a_core_that_is_taken_over_make_nobody_bad(fresh, brief, trained_together, monkeypatch):
    store, dataset = fresh
    one, other, alone = strengths(brief, 50.0, 100.0, 200.0)
    core = make_model(store, one, dataset=dataset).ref
    monkeypatch.setattr(
        "inception_loop.training.populate.plan_for", lambda *question: Plan([[one, other]], "a stack")
    )
    done = populate(store, [one, other], dataset=dataset, core=core)
    assert trained_together == [1, 2]
    assert (list(done.models), done.bad) == ([one, other], {})
    assert not make_model(store, alone, dataset=dataset, core=core).cached


def test_one_that_cannot_be_built_is_bad_and_its_neighbours_are_trained(fresh, brief, monkeypatch):
    store, dataset = fresh
    configs = seeds(brief, 11, 12, 13)
    build = trainer.build_network

    def built(config, scans, train, seed, core):
        if seed == 12:
            raise ConfigurationError("no luck")
        return build(config, scans, train, seed, core)

    monkeypatch.setattr(trainer, "build_network", built)
    made = make_model_jobs(store, configs, dataset=dataset)
    assert [made[config][0].ref.kind for config in configs] == ["model", "bad_config", "model"]


def test_those_that_were_wrongly_put_together_are_not_recorded_as_bad(fresh, brief):
    store, dataset = fresh
    larger = brief.train.model_copy(update={"batch_size": 51})
    other = brief.model_copy(update={"train": larger})
    with pytest.raises(ConfigurationError, match="2 models of different shapes were to be a stack"):
        make_model_jobs(store, [brief, other], dataset=dataset)
    assert not list(artifacts(store, "bad_config"))

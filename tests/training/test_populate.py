"""Populate: every model is trained once whoever asks; what cannot work is recorded with its reason, once."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.address import LEASES
from inception_loop.artifacts.kind import CATALOGUE
from inception_loop.artifacts.lease import Clock, Owner
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.provenance import this_process
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.transfer import copy
from inception_loop.errors import ConfigurationError, DataError, StoreError, TrainingError
from inception_loop.settings import Settings
from inception_loop.training import bad_config, fitting
from inception_loop.training import jobs as jobs_module
from inception_loop.training import populate as populate_module
from inception_loop.training.bad_config import BAD_CONFIG, clear_bad_config, load_bad_config
from inception_loop.training.jobs import make_model_job
from inception_loop.training.model import MODEL, load_model
from inception_loop.training.populate import populate
from inception_loop.training.schedule import Plan
from inception_loop.training.together import plan_for

INPUTS = {
    **dict.fromkeys(("n_units", "image_height", "image_width"), 1),
    **dict.fromkeys(("image_mean", "image_std"), 1.0),
    "name": "a",
    "per_image": False,
}


class Trainings:
    """Stands for training: counts what is trained, in which order, and fails as it is told."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.cores: list[object] = []
        self.failures: dict[int, BaseException] = {}
        self.seconds = 0.0

    def __call__(self, attempt, store, config, dataset, core=None) -> None:
        self.cores.append(core)
        self.seeds.append(config.seed)
        time.sleep(self.seconds)
        if config.seed in self.failures:
            raise self.failures[config.seed]
        attempt.progress(1, 2, "epochs")
        attempt.write_arrays("weights", {"seed": np.array([config.seed])})
        attempt.write_table("history", pl.DataFrame(schema=store_schema("history")))
        attempt.write_table("inputs", pl.DataFrame([INPUTS | dict.fromkeys(EYE)], schema_overrides=EYE))


EYE = dict.fromkeys(("eye_x", "eye_y", "pupil", "dpupil", "treadmill"), pl.Float64)


def store_schema(table: str) -> dict:
    types = {"int64": pl.Int64, "double": pl.Float64, "bool": pl.Boolean, "string": pl.String}
    return {name: types[str(column.type)] for name, column in MODEL.payloads[table].columns.items()}


@pytest.fixture
def trainings(monkeypatch) -> Trainings:
    fake = Trainings()
    monkeypatch.setattr(jobs_module, "train_into", fake)
    return fake


@pytest.fixture
def place(day_store):
    """The URI of a store of its own with the dataset, and the dataset."""
    store, dataset, _ = day_store
    target = open_store(f"memory://{uuid.uuid4().hex}")
    return target.uri, copy(store, target, dataset)[-1].ref


@pytest.fixture
def store(place):
    return open_store(place[0])


@pytest.fixture
def seeded(model_config):
    def seeded(*seeds: int):
        return [model_config.model_copy(update={"seed": seed}) for seed in seeds]

    return seeded


def owned(store, config, dataset, **changes) -> None:
    """Put down the lease of a worker."""
    ref = store.ref(MODEL, config, {"dataset": dataset})
    owner = Owner(token=uuid.uuid4().hex, process=this_process().model_copy(update=changes))
    data = owner.model_dump_json().encode()
    store.backend.create(f"{LEASES}/model/{ref.digest}/00000001.owner", data)


def test_real_models_are_trained_and_what_cannot_work_is_left_out(place, store, model_config, caplog) -> None:
    _, dataset = place
    core = model_config.network.core.model_copy(update={"input_kern": 99})
    broken = model_config.model_copy(
        update={"network": model_config.network.model_copy(update={"core": core})}
    )
    with caplog.at_level(logging.WARNING):
        done = populate(store, [broken, model_config], dataset=dataset)
    assert list(done.models) == [model_config]
    assert load_model(store, done.models[model_config]).config == model_config
    reason = done.bad[broken]
    assert reason.error == "ConfigurationError"
    assert reason.what.startswith("GaussianLaplace core.hidden_channels=4 core.input_kern=99 ")
    assert "smaller than the core's first kernel (99 px); choose a smaller input_kern" in reason.reason
    assert f"core.input_kern=99 seed 1 cannot be trained: ConfigurationError: {reason.reason}" in caplog.text
    assert (done.computed, done.cached, done.passed_over) == (2, 0, 0)
    assert populate(store, [broken, model_config], dataset=dataset).cached == 2


def test_what_is_missing_is_trained_once_and_results_come_in_the_order_of_the_candidates(
    place, store, seeded, trainings
) -> None:
    _, dataset = place
    told = []
    first = populate(store, seeded(3, 1), dataset=dataset, on_progress=lambda *step: told.append(step))
    assert (first.computed, first.cached) == (2, 0)
    again = populate(store, seeded(1, 2, 3, 2), dataset=dataset)
    assert trainings.seeds == [3, 1, 2]
    assert [config.seed for config in again.models] == [1, 2, 3]
    assert (again.computed, again.cached, again.bad) == (1, 2, {})
    assert {config: again.models[config] for config in first.models} == first.models
    assert [store.arrays(ref, "weights")["seed"].item() for ref in again.models.values()] == [1, 2, 3]
    label = "GaussianLaplace seed"
    assert told == [
        (0, 2, "2 models one at a time: faster on cpu than as stacks"),
        (0, 2, f"{label} 3: 1/2 epochs"),
        (1, 2, f"{label} 3 trained"),
        (1, 2, "1 of 2 trained, about 0 s left"),
        (1, 2, f"{label} 1: 1/2 epochs"),
        (2, 2, f"{label} 1 trained"),
        (2, 2, "2 of 2 trained"),
    ]


def test_a_core_that_is_taken_over_is_part_of_the_question(place, store, seeded, trainings) -> None:
    _, dataset = place
    (core,) = populate(store, seeded(1), dataset=dataset).models.values()
    trainings.failures[3] = DataError("too few")
    done = populate(store, seeded(1, 3), dataset=dataset, core=core)
    assert trainings.cores == [None, core, core]
    assert store.inputs(done.models[seeded(1)[0]]) == {"dataset": [dataset], "core": [core]}
    assert populate(store, seeded(1, 3), dataset=dataset, core=core).cached == 2
    trainings.failures.clear()
    assert populate(store, seeded(3), dataset=dataset).computed == 1  # without the core it may work
    assert clear_bad_config(store, seeded(3)[0], dataset=dataset, core=core, because="more trials")


def test_only_what_the_restriction_means_is_trained(place, store, seeded, trainings) -> None:
    _, dataset = place
    done = populate(store, seeded(1, 2, 3), dataset=dataset, restriction="seed <> 2")
    assert [config.seed for config in done.models] == trainings.seeds == [1, 3]
    with pytest.raises(ConfigurationError, match="leaves none of 3 candidates"):
        populate(store, seeded(1, 2, 3), dataset=dataset, restriction={"seed": 4})


@pytest.mark.parametrize("kind", [ConfigurationError, DataError, TrainingError])
@pytest.mark.parametrize("reserve_jobs", [True, False])
def test_a_bad_configuration_is_tried_once_and_told_every_time(
    place, store, seeded, trainings, kind, reserve_jobs
) -> None:
    _, dataset = place
    trainings.failures[2] = kind("no luck")
    for cached in (0, 3):
        done = populate(store, seeded(1, 2, 3), dataset=dataset, reserve_jobs=reserve_jobs)
        assert [config.seed for config in done.models] == [1, 3]
        ((config, reason),) = done.bad.items()
        assert config.seed == 2
        assert reason[1:] == (kind.__name__, "no luck", MODEL.version)
        assert (done.computed, done.cached) == (3 - cached, cached)
    assert trainings.seeds == [1, 2, 3]
    assert not store.exists(store.ref(MODEL, config, {"dataset": dataset}))


@pytest.mark.parametrize(
    "failure", [StoreError("full"), MemoryError(), RuntimeError("x"), KeyboardInterrupt()]
)
def test_what_the_configuration_is_not_to_blame_for_is_never_recorded(
    place, store, seeded, trainings, failure
) -> None:
    _, dataset = place
    trainings.failures[2] = failure
    with pytest.raises(type(failure)):
        populate(store, seeded(1, 2, 3), dataset=dataset)
    assert not list(artifacts(store, "bad_config"))
    trainings.failures.clear()
    assert len(populate(store, seeded(1, 2, 3), dataset=dataset).models) == 3
    assert trainings.seeds == [1, 2, 2, 3]


def test_a_record_that_is_taken_back_lets_the_configuration_be_tried_again(
    place, store, seeded, trainings
) -> None:
    _, dataset = place
    (config,) = seeded(2)
    trainings.failures[2] = TrainingError("not finite")
    (record,) = make_model_job(store, config, dataset=dataset)
    assert load_bad_config(store, record.ref).reason == "not finite"
    assert not clear_bad_config(store, seeded(1)[0], dataset=dataset, because="it never failed")
    with pytest.raises(ConfigurationError, match="without a reason"):
        clear_bad_config(store, config, dataset=dataset, because=" ")
    assert clear_bad_config(store, config, dataset=dataset, because="the loss was mended")
    trainings.failures[2] = TrainingError("still not finite")
    (again,) = make_model_job(store, config, dataset=dataset)
    assert (again.ref, again.cached) == (record.ref, False)
    assert load_bad_config(store, again.ref).reason == "still not finite"
    assert [old.reason for old in store.manifest(again.ref).replaces] == ["the loss was mended"]
    clear_bad_config(store, config, dataset=dataset, because="mended indeed")
    trainings.failures.clear()
    (trained,) = make_model_job(store, config, dataset=dataset)
    assert (trained.ref.kind, trained.cached) == ("model", False)


def test_another_version_of_the_step_tries_it_again(place, store, seeded, trainings, monkeypatch) -> None:
    _, dataset = place
    (config,) = seeded(2)
    assert BAD_CONFIG.version == MODEL.version
    trainings.failures[2] = DataError("too few")
    first = make_model_job(store, config, dataset=dataset)
    for kind in (MODEL, BAD_CONFIG):
        monkeypatch.setitem(CATALOGUE, kind.name, kind)  # put back after the test
    newer = dataclasses.replace(BAD_CONFIG, version=BAD_CONFIG.version + 1)
    for where in (jobs_module, bad_config):
        monkeypatch.setattr(where, "BAD_CONFIG", newer)
    monkeypatch.setattr(jobs_module, "MODEL", dataclasses.replace(MODEL, version=MODEL.version + 1))
    second = make_model_job(store, config, dataset=dataset)
    assert [made.cached for made in (*first, *second)] == [False, False]
    assert load_bad_config(store, second[0].ref).step_version == MODEL.version + 1
    assert trainings.seeds == [2, 2]


def test_a_run_in_which_nothing_can_be_trained_is_an_error_with_the_first_reason(
    place, store, seeded, trainings
) -> None:
    _, dataset = place
    trainings.failures = {seed: DataError(f"too few for {seed}") for seed in (1, 2)}
    said = r"^none of the 2 models can be trained; the first, Gauss.* seed 1: DataError: too few for 1$"
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=said):
            populate(store, seeded(1, 2), dataset=dataset)
    assert trainings.seeds == [1, 2]


def test_a_model_that_stands_counts_whatever_was_recorded(place, store, seeded, trainings) -> None:
    _, dataset = place
    (config,) = seeded(1)
    ref = make_model_job(store, config, dataset=dataset)[0].ref
    bad_config.make_bad_config(store, config, DataError("elsewhere it failed"), dataset=dataset)
    assert make_model_job(store, config, dataset=dataset) == ((ref, True),)


@pytest.mark.parametrize("reserve_jobs", [True, False])
def test_workers_share_the_work_and_none_trains_what_another_does(
    place, seeded, trainings, reserve_jobs
) -> None:
    uri, dataset = place
    trainings.seconds = 0.03
    trainings.failures[5] = TrainingError("not finite")
    workers, jobs = 4, seeded(*range(12))
    barrier = threading.Barrier(workers)

    def work(_: int):
        barrier.wait()
        return populate(open_store(uri), jobs, dataset=dataset, reserve_jobs=reserve_jobs)

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(work, range(workers)))
    assert sorted(trainings.seeds) == list(range(12))
    assert len({tuple(one.models.items()) for one in found}) == 1
    assert all(list(one.bad) == [jobs[5]] for one in found)
    assert sum(one.computed for one in found) == 12
    assert all(one.computed + one.cached == 12 for one in found)
    assert (max(one.passed_over for one in found) > 0) == reserve_jobs


def test_a_reserved_job_is_passed_over_and_without_reservation_waited_for(
    place, seeded, trainings, monkeypatch
) -> None:
    uri, dataset = place
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock = Clock(lambda: now[0], sleep, lambda: 0.0)
    for reserve_jobs, seeds, order in ((True, (1, 2, 3), [2, 3, 1]), (False, (4, 5, 6), [4, 5, 6])):
        patient = open_store(uri, Settings(lease_ttl_s=60), clock=clock)
        owned(patient, seeded(seeds[0])[0], dataset, host="elsewhere", boot="another")
        trainings.seeds.clear()
        before = now[0]
        done = populate(patient, seeded(*seeds), dataset=dataset, reserve_jobs=reserve_jobs)
        assert trainings.seeds == order
        assert [config.seed for config in done.models] == list(seeds)
        assert done.passed_over == reserve_jobs
        assert 60 < now[0] - before < 70  # one time to live: its worker never gave a sign


def test_what_a_dead_worker_held_is_taken_over_in_its_turn(place, store, seeded, trainings) -> None:
    _, dataset = place
    owned(store, seeded(1)[0], dataset, pid=2**22 + 1)
    done = populate(store, seeded(1, 2), dataset=dataset)
    assert trainings.seeds == [1, 2]
    assert done.passed_over == 0
    assert store.manifest(done.models[seeded(1)[0]]).lease_generation == 2


def test_nothing_comes_of_a_job_that_another_holds(place, store, seeded, trainings) -> None:
    _, dataset = place
    (config,) = seeded(1)
    owned(store, config, dataset)
    assert make_model_job(store, config, dataset=dataset, wait=False) == ()
    assert trainings.seeds == []


def test_whoever_waits_for_another_worker_is_told_and_then_finds_the_model(
    place, seeded, trainings, monkeypatch
) -> None:
    uri, dataset = place
    now, told = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    patient = open_store(uri, Settings(lease_ttl_s=60), clock=Clock(lambda: now[0], sleep, lambda: 0.0))
    (config, other) = seeded(1, 2)
    owned(patient, config, dataset, host="elsewhere", boot="another")
    populate(patient, [config, other], dataset=dataset, on_progress=lambda *step: told.append(step[2]))
    label = "GaussianLaplace seed 1"
    assert told[1] == f"{label}: another worker trains it"
    assert "1 of 2 trained, 1 with other workers, about 0 s left" in told
    assert told[-3:] == [f"{label}: 1/2 epochs", f"{label} trained", "2 of 2 trained"]


def test_what_cannot_be_trained_is_told_at_once_with_its_reason(place, store, seeded, trainings) -> None:
    _, dataset = place
    trainings.failures[1] = DataError("too few")
    for known in ("", " (known)"):
        told: list[str] = []
        tell = partial(lambda lines, *step: lines.append(step[2]), told)
        populate(store, seeded(1, 2), dataset=dataset, on_progress=tell)
        assert told[1] == f"GaussianLaplace seed 1 cannot be trained: too few{known}"
        assert told[2] == "0 of 2 trained, 1 cannot be trained"
        assert told[-1] == "1 of 2 trained, 1 cannot be trained"


def test_what_the_plan_puts_together_trains_as_one_stack_and_what_fails_is_recorded(
    place, store, seeded, monkeypatch
) -> None:
    _, dataset = place
    sizes, jobs = [], seeded(1, 2, 3)
    monkeypatch.setattr(populate_module, "plan_for", lambda *question: Plan([jobs], "3 models in 1 stack"))
    trained = fitting.train_networks

    def two_of_three(wanted, *arguments, **options):
        sizes.append(len(wanted))
        results = trained(wanted, *arguments, **options)
        return [
            TrainingError("seed 2") if job.seed == 2 else r for job, r in zip(wanted, results, strict=True)
        ]

    monkeypatch.setattr(fitting, "train_networks", two_of_three)
    told = []
    done = populate(store, jobs, dataset=dataset, on_progress=lambda *step: told.append(step))
    assert sizes == [3]
    assert [config.seed for config in done.models] == [1, 3]
    assert [(config.seed, found.reason) for config, found in done.bad.items()] == [(2, "seed 2")]
    assert told[0] == (0, 3, "3 models in 1 stack")
    assert "epochs of 3 models together, val corr" in told[1][2]
    assert populate(store, jobs, dataset=dataset).cached == 3
    assert sizes == [3]


def test_a_memory_that_holds_few_models_makes_small_stacks(place, store, seeded, monkeypatch) -> None:
    uri, dataset = place
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2**20, 2**30))
    gpu = open_store(uri, Settings(device="cuda"))
    assert (
        plan_for(gpu, seeded(1, 2, 3), dataset).reason == "3 models one at a time: the memory holds no more"
    )
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2**40, 2**40))
    assert plan_for(gpu, seeded(1, 2, 3), dataset).reason == "3 models in 1 stack of 3 on cuda"
    assert (
        plan_for(store, seeded(1, 2, 3), dataset).reason
        == "3 models one at a time: faster on cpu than as stacks"
    )

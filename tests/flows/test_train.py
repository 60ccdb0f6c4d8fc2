"""The stage *train*: work is shared with other runs, and configurations that cannot work stop nobody."""

from __future__ import annotations

import json

import pytest

from flows import _publish
from flows import train as module
from flows._stage import Event, observed
from flows.train import train
from inception_loop.animals.recorded import AnimalDayConfig, make_recorded_day
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.address import LEASES
from inception_loop.artifacts.lease import Owner
from inception_loop.artifacts.provenance import this_process
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.transfer import copy
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.parameters import Grid, TrainParameters
from inception_loop.recordings.recording import ScanKey
from inception_loop.report.learning import load_learning
from inception_loop.report.learning_words import headline, learning_lines
from inception_loop.training.config import TrainConfig
from inception_loop.training.model import MODEL


def network(input_kern: int) -> CorePlusReadout:
    return CorePlusReadout(
        core=GaussianLaplace(hidden_channels=2, input_kern=input_kern, hidden_kern=3, layers=2),
        readout=SpatialTransformerPyramid2d(scale_n=1, downsample=False),
    )


def grid(*kernels: int) -> Grid:
    train = TrainConfig(learning_rates=(0.01,), max_epoch=1)
    return Grid(networks=tuple(map(network, kernels)), seeds=(1,), train=train)


@pytest.fixture(scope="module")
def day():
    store = open_store("memory://flows-train")
    config = AnimalDayConfig(
        scan=ScanKey(animal_id=1, session=1, scan_idx=1),
        animal=SimulatedConfig(n_units=30),
        session=NaturalSessionConfig(n_train=100, n_repeated=4, repeats=4),
    )
    recording, _ = make_recorded_day(store, config)
    made = make_dataset(store, DatasetConfig(group_id=0), [recording.ref])
    return store, made["static_multi_dataset"][0].ref


@pytest.fixture
def asked(day, tmp_path, monkeypatch):
    """Parameters of a grid on the day, in a store of its own that the settings name."""
    uri = f"file://{tmp_path}/store"
    monkeypatch.setenv("INCEPTION_LOOP_STORE", uri)
    dataset = copy(*day[:1], open_store(uri), day[1])[-1].ref
    return lambda *kernels: TrainParameters(dataset=dataset, grid=grid(*kernels))


@pytest.fixture
def events():
    seen: list[Event] = []
    with observed(seen.append):
        yield seen


def test_configurations_that_cannot_work_are_shown_and_stop_nobody(asked, events, monkeypatch) -> None:
    tables = []
    monkeypatch.setattr(module._publish, "table", lambda *table: tables.append(table))
    for cached in (False, True):
        result = train(asked(99, 7))
        kinds = ("model", "bad_config", "unit_test_scores", "linear_rf", "learning_report")
        assert [len(result.refs[kind]) for kind in kinds] == [1, 1, 1, 1, 1]
        assert (result.computed, result.cached) == ((0, 5) if cached else (5, 0))
        bad = result.refs["bad_config"][0]
        key, (row,), text = tables.pop()
        assert (key, text) == ("train-bad-configs", "1 configurations cannot work, 1 can")
        assert row["error"] == "ConfigurationError"
        assert "smaller than the core's first kernel (99 px)" in row["reason"]
        assert row["record"] == str(bad)
        *_, said = [event.text for event in events if event.what == "said"]
        assert "core.input_kern=99" in said
        assert "cannot be trained: images of 36x64 px are smaller" in said
        ended = {event.name: event.cached for event in events if event.what == "finished"}
        names = ["core.input_kern=7 seed 1", "core.input_kern=99 seed 1"]
        assert sorted(name.split(" ", 2)[2] for name in ended if name.startswith("model_job ")) == sorted(
            names
        )
        assert set(ended.values()) == {cached}
        events.clear()


def test_when_nothing_can_be_trained_the_first_reason_is_the_error(asked) -> None:
    with pytest.raises(
        ConfigurationError, match=r"none of the 2 models can be trained; the first, Gauss.*99 px"
    ):
        train(asked(99, 98))


def test_what_another_run_has_reserved_is_asked_for_again_and_counted_once(asked, events) -> None:
    parameters = asked(7, 5)
    store = open_store()
    held, _ = parameters.grid.models(0)
    ref = store.ref(MODEL, held, {"dataset": parameters.dataset})
    lease = f"{LEASES}/model/{ref.digest}/00000001"
    owner = Owner(token="t", process=this_process())
    store.backend.create(f"{lease}.owner", owner.model_dump_json().encode())

    def let_go(event: Event) -> None:
        if event.what == "passed":
            assert not store.exists(ref)
            store.backend.create(f"{lease}.done", b"")

    with observed(let_go):
        result = train(parameters)
    assert [event.name for event in events if event.what == "passed"] == [
        "model_job GaussianLaplace core.input_kern=7 seed 1"
    ]
    assert (result.computed, result.cached) == (6, 0)
    assert result.refs["model"][0] == ref  # in the grid's order all the same
    assert len(result.refs["model"]) == len(result.refs["unit_test_scores"]) == 2
    assert store.manifest(ref).lease_generation == 2


def test_how_the_networks_learnt_is_told_at_once_and_the_page_comes_out_of_the_store(
    call, asked, events, monkeypatch, tmp_path
) -> None:
    shown = {}
    monkeypatch.setattr(_publish, "markdown", lambda key, text, description: shown.update({key: text}))
    monkeypatch.setattr(_publish, "table", lambda key, rows, description: shown.update({key: rows}))
    result = train(asked(7))
    store, ref = open_store(), result.one("learning_report")
    learning = load_learning(store, ref)
    assert [event.text for event in events if event.what == "said"] == [
        headline(learning),
        f"  see it: inception-loop report --learning {ref.digest[:12]}",
    ]
    assert shown["learning-report-group-0"].startswith(f"# {headline(learning)}")
    assert [row["val_corr"] for row in shown["learning-report-group-0-networks"]] == [
        learning.models["val_corr"].item()
    ]
    page = tmp_path / "out" / "learning_report.html"
    for words in (["--learning"], [ref.digest[:12]], [ref.digest[:12], "--learning"]):
        said = call("report", *words, "--store", store.uri, "--output", page.parent)
        assert (said.status, said.err) == (0, "")
        assert said.out.splitlines() == [*learning_lines(learning), f"Report: {page}"]
        assert page.read_bytes() == store.file(ref, "report")
    said = call("report", "--learning", "--store", store.uri, "--output", page.parent, "--json")
    found = json.loads(said.out)
    assert (found["headline"], found["report"]) == (headline(learning), page.name)
    assert found["val_corr_cnn"] == learning.models["val_corr"].item()
    said = call("report", "--learning", "--dataset", "--store", store.uri)
    assert (said.status, said.err.count("\n")) == (2, 1)

"""The stage *train*: work is shared with other runs, and configurations that cannot work stop nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli_w

from flows import train as module
from flows.observing import Event, observed
from flows.telling import publish
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
from inception_loop.report.learning.artifact import load_learning
from inception_loop.report.learning.words import headline, learning_lines
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
    monkeypatch.setattr(module.publish, "table", lambda *table: tables.append(table))
    for cached in (False, True):
        result = train(asked(99, 7))
        kinds = ("model", "bad_config", "unit_test_scores", "linear_rf", "learning_report")
        assert [len(result.refs[kind]) for kind in kinds] == [1, 1, 2, 1, 1]
        assert (result.computed, result.cached, result.bad) == ((0, 5, 1) if cached else (5, 0, 1))
        assert result.words() == ("0 computed, 5" if cached else "5 computed, 0") + (
            " already there, 1 cannot be trained"
        )
        assert result.counts()["cannot_be_trained"] == 1
        bad = result.refs["bad_config"][0]
        key, (row,), text = tables.pop()
        assert (key, text) == ("train-bad-configs", "1 configurations cannot work, 1 can")
        assert row["error"] == "ConfigurationError"
        assert "smaller than the core's first kernel (99 px)" in row["reason"]
        assert row["record"] == str(bad)
        *_, said = [event.text for event in events if event.what == "said"]
        assert "core.input_kern=99" in said
        assert "cannot be trained: images of 36x64 px are smaller" in said
        (refused,) = [event for event in events if event.what == "refused"]
        assert refused.text == row["reason"]
        assert refused.name.endswith("core.input_kern=99 seed 1")
        overall = [event for event in events if event.what == "overall"]
        assert (overall[-1].done, overall[-1].total) == (2, 2)
        assert overall[-1].text == "1 of 2 trained, 1 cannot be trained"
        ended = {event.name: event.cached for event in events if event.what in {"finished", "refused"}}
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
    overall = [event.text for event in events if event.what == "overall"]
    assert overall[0] == "0 of 2 trained, 1 with other workers"
    assert overall[-1] == "2 of 2 trained"
    assert [event.name for event in events if event.what == "passed"] == [
        "model_job GaussianLaplace core.input_kern=7 seed 1"
    ]
    assert (result.computed, result.cached) == (7, 0)
    assert result.refs["model"][0] == ref  # in the grid's order all the same
    assert [len(result.refs[kind]) for kind in ("model", "unit_test_scores")] == [2, 3]  # one is frozen
    assert store.manifest(ref).lease_generation == 2


def test_how_the_networks_learnt_is_told_at_once_and_the_page_comes_out_of_the_store(
    call, asked, events, monkeypatch, tmp_path
) -> None:
    shown = {}
    monkeypatch.setattr(publish, "markdown", lambda key, text, description: shown.update({key: text}))
    monkeypatch.setattr(publish, "table", lambda key, rows, description: shown.update({key: rows}))
    result = train(asked(7))
    store, ref = open_store(), result.one("learning_report")
    learning = load_learning(store, ref)
    assert [event.text for event in events if event.what == "said"] == [
        "1 model",
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


def test_how_many_models_of_what_is_said_first(asked, events) -> None:
    train(asked(7, 5))
    said = [event.text for event in events if event.what == "said"]
    assert said[0] == "2 models: 2 cores"


def test_a_trained_core_is_taken_over_and_only_the_rest_is_fitted(asked) -> None:
    parameters = asked(7)
    source = train(parameters).one("model")
    later = Grid(networks=parameters.grid.networks, seeds=(2,), train=parameters.grid.train)
    result = train(TrainParameters(dataset=parameters.dataset, grid=later, core=source))
    store, made = open_store(), result.one("model")
    assert store.inputs(made) == {"dataset": [parameters.dataset], "core": [source]}
    mine, trained = store.arrays(made, "weights"), store.arrays(source, "weights")
    kept = {name for name in trained if (mine[name] == trained[name]).all()}
    assert {name for name in trained if name.startswith("core.")} <= kept
    assert kept < set(trained)


def written(tmp_path: Path, parameters: TrainParameters, **changes: object) -> Path:
    config = tmp_path / "train.toml"
    values = parameters.model_dump(mode="json", exclude_none=True) | changes
    config.write_text(tomli_w.dumps(values))
    return config


def contents(uri: str) -> list[Path]:
    return sorted(Path(uri.removeprefix("file://")).rglob("*"))


def test_a_dry_run_tells_how_every_model_stands_and_writes_nothing(call, asked, tmp_path) -> None:
    uri = open_store().uri
    made = train(asked(99, 7))
    config = written(tmp_path, asked(99, 7, 5))
    before = contents(uri)
    said = call("run", "train", "--config", config, "--store", uri, "--dry-run")
    assert (said.status, said.err) == (0, "")
    first, *lines, last = said.out.splitlines()
    assert (first, last) == ("3 models: 3 cores", "1 trained, 1 missing, 1 bad")
    label = "GaussianLaplace core.input_kern="
    assert lines[0].startswith(f"  bad      {label}99 seed 1: images of 36x64 px are smaller")
    assert lines[0].endswith(f"({made.one('bad_config')})")
    assert lines[1] == f"  trained  {label}7 seed 1  {made.one('model')}"
    assert lines[2] == f"  missing  {label}5 seed 1"
    found = json.loads(call("run", "train", "--config", config, "--store", uri, "--dry-run", "--json").out)
    assert {state: found[state] for state in ("trained", "missing", "bad")} == {
        "trained": 1,
        "missing": 1,
        "bad": 1,
    }
    assert [model["state"] for model in found["models"]] == ["bad", "trained", "missing"]
    assert [model["reason"] is None for model in found["models"]] == [False, True, True]
    assert found["models"][1]["ref"] == made.one("model").model_dump()
    assert contents(uri) == before


def test_a_dry_run_on_a_dataset_that_does_not_stand_is_one_line(call, asked, tmp_path) -> None:
    parameters = asked(7)
    absent = parameters.dataset.model_copy(update={"uri": parameters.dataset.uri[:-1] + "x"})
    config = written(tmp_path, parameters, dataset=absent.model_dump())
    said = call("run", "train", "--config", config, "--store", open_store().uri, "--dry-run")
    assert (said.status, said.err.count("\n"), said.out) == (1, 1, "")
    assert "no artifact stands at" in said.err


def test_an_artifact_may_be_given_by_its_name(call, asked, tmp_path) -> None:
    parameters, uri = asked(7), open_store().uri
    config = written(tmp_path, parameters, dataset=str(parameters.dataset))
    said = call("run", "train", "--config", config, "--store", uri, "--json")
    assert said.status == 0
    (model,) = json.loads(said.out)["refs"]["model"]
    (expected,) = parameters.models()
    assert model["digest"] == open_store(uri).ref(MODEL, expected, {"dataset": parameters.dataset}).digest
    other = written(tmp_path, parameters, dataset=f"model/{model['digest'][:9]}")
    said = call("run", "train", "--config", other, "--store", uri)
    assert (said.status, said.out) == (2, "")
    got = f"got a model (model/{model['digest'][:12]}) (see --print-schema)"
    assert said.err == f"error: TrainParameters: dataset: expected a static_multi_dataset, {got}\n"


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("static_multi_dataset/0000", "means 0 artifacts in "),
        ("recording", "expected a static_multi_dataset, got a recording (recording/"),
        ("", "means 0 artifacts in "),
    ],
)
def test_a_name_that_means_no_dataset_is_one_line(call, asked, tmp_path, name, said, dry) -> None:
    config = written(tmp_path, asked(7), dataset=name)
    found = call("run", "train", "--config", config, "--store", open_store().uri, *dry)
    assert (found.status, found.err.count("\n"), found.out) == (2, 1, "")
    assert found.err.startswith("error: TrainParameters: dataset: ")
    assert said in found.err

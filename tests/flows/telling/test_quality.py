"""Who runs the dataset stage hears at once which recording is bad, and can have the page at any time."""

import json

import pytest
import tomli_w
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.console import Console
from flows.observing import Event, observed, say
from flows.telling.quality import command, rows
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.parameters import DatasetParameters
from inception_loop.quality.kind import load_quality
from inception_loop.quality.words import headline, verdict_lines


@pytest.fixture
def made(tiny_run):
    """Store, its dataset report and what it says."""
    store = open_store(tiny_run[0])
    (ref,) = (listed.ref for listed in artifacts(store, "dataset_report"))
    return store, ref, load_quality(store, ref)


@pytest.fixture
def asked(tiny, tiny_run, tmp_path):
    """The dataset stage of the tiny loop as a file of parameters."""
    stages = tiny_run[1].stages
    source = stages["present"].refs["recording"][0]
    parameters = DatasetParameters(recordings=(source,), config=tiny.tiny_parameters().dataset)
    path = tmp_path / "dataset.toml"
    path.write_text(tomli_w.dumps(parameters.model_dump(mode="json", exclude_none=True)))
    return path


def test_the_dataset_stage_prints_the_verdict_and_how_to_see_more(call, made, asked) -> None:
    store, ref, quality = made
    said = call("run", "dataset", "--config", asked, "--store", store.uri)
    assert said.status == 0
    lines = said.out.splitlines()
    assert lines[-len(verdict_lines(quality)) - 1 : -1] == verdict_lines(quality)
    assert lines[-1] == f"see it: {command(ref)}"
    assert [line for line in said.err.splitlines() if line.endswith(headline(quality))]
    assert [line for line in said.err.splitlines() if line.endswith(command(ref))]


def test_as_json_the_stage_says_nothing_else(call, made, asked) -> None:
    store, ref, _ = made
    said = call("run", "dataset", "--config", asked, "--store", store.uri, "--json")
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out)["refs"]["dataset_report"][0]["digest"] == ref.digest


def test_prefect_shows_the_verdict_first_and_every_finding_in_a_table(made, call, asked) -> None:
    store, ref, quality = made
    call("run", "dataset", "--config", asked, "--store", store.uri)
    ours = [text for text in data_of("dataset-report-group-0") if command(ref) in text]
    assert ours
    assert all(text.splitlines()[0].endswith(headline(quality)) for text in ours)
    tables = [json.loads(table) for table in data_of("dataset-report-group-0-findings")]
    assert rows(quality) in tables
    assert [row["what"] for row in rows(quality)] == quality.findings["title"].to_list()


def data_of(key: str) -> list[str]:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return [str(artifact.data) for artifact in found]


@pytest.mark.parametrize("words", [["--dataset"], ["DIGEST"], ["DIGEST", "--dataset"]], ids=" ".join)
def test_the_page_comes_out_of_the_store(call, made, tmp_path, words) -> None:
    store, ref, quality = made
    asked = [word.replace("DIGEST", ref.digest[:12]) for word in words]
    said = call("report", *asked, "--store", store.uri, "--output", tmp_path / "out")
    assert (said.status, said.err) == (0, "")
    page = tmp_path / "out" / "dataset_report.html"
    assert said.out.splitlines() == [*verdict_lines(quality), f"Report: {page}"]
    assert page.read_bytes() == store.file(ref, "report")
    assert [path.name for path in page.parent.iterdir()] == [page.name]


def test_as_json_the_page_comes_with_its_findings(call, made, tmp_path) -> None:
    store, _, quality = made
    said = call("report", "--dataset", "--store", store.uri, "--output", tmp_path, "--json")
    found = json.loads(said.out)
    assert (tmp_path / found["report"]).exists()
    assert found["headline"] == headline(quality)
    assert found["findings"] == quality.findings.to_dicts()
    assert found["scans"] == {"1-1-1": quality.scans["verdict"].item()}


def test_a_report_that_is_not_there_is_one_line(call, made, tmp_path) -> None:
    store, _, _ = made
    empty = f"file://{tmp_path}/empty"
    said = call("report", "--dataset", "--store", empty, "--output", tmp_path / "out")
    assert (said.status, said.out) == (1, "")
    assert said.err == (
        f"error: {empty} holds no dataset_report; expected one; run `inception-loop run dataset` first\n"
    )
    for words in (["fffffff"], ["fffffff", "--dataset"]):
        said = call("report", *words, "--store", store.uri, "--output", tmp_path / "out")
        assert said.status == 2
        assert said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_line_that_is_no_step_s_is_told_as_it_is(capsys) -> None:
    seen: list[Event] = []
    with observed(seen.append), Console() as console, observed(console):
        say("dataset", "! look at it")
    assert [(event.what, event.text) for event in seen] == [("said", "! look at it")]
    line = capsys.readouterr().err.removesuffix("\n")
    assert line.endswith("dataset      ! look at it")

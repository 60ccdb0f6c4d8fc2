"""A loop as a person watches it: what its runs are called, what they publish, what log and table say."""

import json
from pathlib import Path

import polars as pl
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)

from inception_loop.artifacts.events import TABLE
from inception_loop.artifacts.store import open_store
from inception_loop.report.closed_loop.lines import report_lines

LOOP = "loop 0 · simulated animal 1 · seed 3"
RUNS = {
    "present 1-1-1 · day 0": {"present-artifacts", "present-findings"},
    "ingest 1-1-1": {"ingest-artifacts", "ingest-findings"},
    "dataset group 0 · 1-1-1": {
        "dataset-artifacts",
        "tiers-group-0",
        "dataset-report-group-0",
        "dataset-report-group-0-findings",
    },
    "train group 0 · 4 models": {
        "train-artifacts",
        "learning-report-group-0",
        "learning-report-group-0-networks",
    },
    "select group 0 · 4 models": {"select-artifacts", "selection-group-0"},
    "mei group 0 · 12 units": {
        "mei-artifacts",
        "gallery-group-0",
        "gallery-group-0-units",
        "gallery-group-0-contact-sheet",
    },
    "stimulus loop 0 · group 0": {"stimulus-artifacts", "stimulus-loop-0"},
    "present 1-2-1 · day 1": {"present-artifacts", "present-findings"},
    "ingest 1-2-1": {"ingest-artifacts", "ingest-findings"},
    "closed loop 0 · 1-2-1": {"closed-loop-artifacts", "answer-loop-0"},
    "report loop 0": {"report-artifacts", "report-loop-0"},
}
PLANTED = {
    "AWS_SECRET_ACCESS_KEY": "planted-secret-key-7f3a",
    "AWS_SESSION_TOKEN": "planted-session-token-91bc",
    "INCEPTION_LOOP_NOTIFY": "http://127.0.0.1:9/planted-hook-5d2e",
}


@pytest.fixture(scope="module")
def seen(tiny, tiny_run):
    """The loop, run again over its store with secrets about: its run, its stages, what each has published."""
    from flows.loop import inception_loop

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTION_LOOP_STORE", tiny_run[0])
        patch.setattr("flows.telling.notify.PAUSE_SECONDS", 0.0)
        for name, value in PLANTED.items():
            patch.setenv(name, value)
        state = inception_loop(tiny.tiny_parameters(), return_state=True)
    run = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        parts = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
        runs = [client.read_flow_run(run), *client.read_flow_runs(flow_run_filter=parts, limit=50)]
        published = {
            one.name: client.read_artifacts(
                artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[one.id])), limit=200
            )
            for one in runs
        }
    return state, runs, published


def texts(published, run: str) -> dict[str, str]:
    return {one.key: str(one.data) for one in published[run] if one.key}


def table_of(uri: str, state) -> pl.DataFrame:
    (path,) = Path(uri.removeprefix("file://")).glob(f"_events/*/{state.state_details.flow_run_id}*")
    return pl.read_parquet(path)


def test_runs_are_called_by_what_they_do(seen) -> None:
    _, runs, _ = seen
    assert runs[0].name == LOOP
    assert {run.name for run in runs[1:]} == set(RUNS)


def test_every_stage_publishes_what_it_made_and_what_it_found_once(seen) -> None:
    _, _, published = seen
    for run, keys in {**RUNS, LOOP: {"loop-stages", "report-loop-0"}}.items():
        found = sorted(one.key for one in published[run] if one.key and one.type != "progress")
        assert found == sorted(keys), run


def test_what_stages_say_is_what_their_artifacts_hold(seen, tiny_run) -> None:
    _, _, published = seen
    uri, result = tiny_run
    store, stages = open_store(uri), result.stages
    assert texts(published, "ingest 1-1-1")["ingest-findings"].split("\n") == [
        "# 1 recording: 180 trials, 1 excluded, 60 units.",
        "",
        "| scan | trials | excluded | masks | units | without a place | monitor measured |",
        "|---|---|---|---|---|---|---|",
        "| 1-1-1 | 180 | 1 | 63 | 60 | 0 | yes |",
    ]
    tiers = texts(published, "dataset group 0 · 1-1-1")["tiers-group-0"]
    used = store.table(stages["dataset"].one("static_multi_dataset"), "trials").filter(reason="")
    assert tiers.startswith(f"# {used.height} of 180 trials used; lost: ")
    for tier, n in used.group_by("tier").len().iter_rows():
        assert any(f"| {tier} | " in line and f" | {n} | " in line for line in tiers.split("\n"))
    kind = "corrected_high_unit_selection"
    selection = store.table(stages["select"].one(kind), kind)
    said = texts(published, "select group 0 · 4 models")["selection-group-0"]
    selected = selection.filter(reason="").height
    assert said.startswith(f"# {selected} of {selection.height} units selected.")
    assert "| rank too high |" in said
    shown = store.manifest(stages["stimulus"].one("stimulus_set")).findings
    said = texts(published, "stimulus loop 0 · group 0")["stimulus-loop-0"]
    assert said.startswith(f"# {shown['n_images']} images of 12 units, 3 repeats: {shown['n_trials']} trials")
    assert said.count("- warning: ") == len(shown["warnings"])
    answer = report_lines(store.table(result.report, "numbers"), store.table(result.report, "tests"))
    told = {"closed loop 0 · 1-2-1": "answer-loop-0", "report loop 0": "report-loop-0", LOOP: "report-loop-0"}
    for run, key in told.items():
        said = texts(published, run)[key]
        assert said.startswith(f"# {answer[0]}\n")
        assert all(f"- {line.strip()}" in said for line in answer[1:])
    rows = json.loads(texts(published, LOOP)["loop-stages"])
    assert {row["stage"]: row["cached"] for row in rows} == {
        name: stage.computed + stage.cached for name, stage in stages.items()
    }
    assert f"`inception-loop report {result.report.digest[:12]} --store {uri}`" in said


def test_a_picture_of_a_store_on_a_disk_lies_in_its_artifact(seen) -> None:
    sheet = texts(seen[2], "mei group 0 · 12 units")["gallery-group-0-contact-sheet"]
    assert sheet.startswith("data:image/png;base64,iVBOR")
    assert len(sheet) < 140_000


def test_the_table_of_a_loop_holds_the_steps_of_all_its_stages(seen, tiny_run) -> None:
    state, _, _ = seen
    rows = table_of(tiny_run[0], state)
    assert rows.columns == list(TABLE.columns)
    assert set(rows["flow"]) == {"inception-loop"}
    counts = {one: rows.filter(outcome=one).height for one in ("computed", "cached")}
    stages = state.result().stages.values()
    assert counts == {"computed": 0, "cached": sum(stage.cached for stage in stages)}
    assert rows.height == counts["cached"]
    assert rows["bytes"].sum() == 0


def test_the_table_of_the_first_run_counts_its_bytes(tiny_run) -> None:
    uri, result = tiny_run
    store, stages = open_store(uri), result.stages.values()
    tables = [pl.read_parquet(path) for path in Path(uri.removeprefix("file://")).glob("_events/*/*.parquet")]
    (first,) = [table for table in tables if table.filter(outcome="computed").height]
    assert first.filter(outcome="computed").height == sum(stage.computed for stage in stages)
    made = {ref.digest: ref for stage in stages for refs in stage.refs.values() for ref in refs}
    for outcome, digests, n_bytes in first.select("outcome", "digests", "bytes").iter_rows():
        sizes = [p.size for digest in digests for p in store.manifest(made[digest]).payloads.values()]
        assert n_bytes == (sum(sizes) if outcome == "computed" else 0)


def test_nothing_that_a_run_leaves_holds_a_secret(seen, tiny_run) -> None:
    state, runs, published = seen
    left = [run.model_dump_json() for run in runs]
    left += [one.model_dump_json() for some in published.values() for one in some]
    with get_client(sync_client=True) as client:
        left.append(client._client.post("/logs/filter", json={"limit": 200}).text)
    left.append(json.dumps(table_of(tiny_run[0], state).to_dicts(), default=str))
    assert not [name for name, secret in PLANTED.items() if secret in "".join(left)]

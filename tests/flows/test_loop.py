"""The whole loop as a Prefect run: what it leaves, what a rerun does, how it fails."""

import json
import shutil
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterParentFlowRunId
from prefect.context import FlowRunContext
from prefect.exceptions import ParameterTypeError

from flows import cli
from flows.given import read_toml
from flows.loop import inception_loop
from inception_loop.artifacts import listing
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.upkeep import verify
from inception_loop.errors import DataError
from inception_loop.parameters import LoopParameters

KINDS = """
recording animal_truth static_scan excluded_trial stack_coordinates monitor_calibration image_hash
condition_tier frame scan_statistics input_response eye treadmill area_membership layer_membership
statistics static_multi_dataset dataset_report model unit_test_scores linear_rf oracle oracle_ranked_unit
truth_panel target_dataset model_group target_model corrected_high_unit_selection
mei grad_rf best_gabor tight_mei_mask masked_mei best_tight_masked_imagenet best_natural_image gallery
processed_monitor_calibration closest_calibration processed_image stimulus_fill stimulus_set
target_static_group_id
closed_loop_scan proximity_cell_match best_proximity_cell_match cell_match_oracle_correlation
assigned_cell_match normalized_confusion z_score_confusion own_response summary_confusion z_summary_confusion
summary_confusion_diagonal_entry
z_summary_confusion_diagonal_entry loop_tests evidence recovered_truth learning_report report
"""
MODELS, BATCHES = 4, 3
FROZEN = 4  # of the best of each family after training, of the ensembles in the end
# Of two seeds one judges, so an ensemble is one network, whose scores stand already.


@pytest.fixture
def copy(tiny_run, tmp_path):
    """A copy of the undisturbed store."""
    shutil.copytree(tiny_run[0].removeprefix("file://"), tmp_path / "copy")
    return f"file://{tmp_path}/copy"


def test_a_loop_leaves_every_artifact_and_a_report(tiny, tiny_run) -> None:
    uri, result = tiny_run
    store = open_store(uri)
    found = [kind for kind, _ in tiny.contents(uri)]
    assert set(found) == set(KINDS.split())
    assert found.count("model") == MODELS
    assert found.count("unit_test_scores") == MODELS + FROZEN
    assert found.count("mei") == found.count("grad_rf") == found.count("masked_mei") == BATCHES
    assert found.count("best_gabor") == found.count("best_natural_image") == 1  # all units at once
    page = store.file(result.report, "report").decode()
    assert page.lower().startswith("<!doctype html>")
    assert "</html>" in page
    assert verify(store).sound
    within = found.count("animal_truth") + found.count("scan_statistics")  # made by the steps of others
    assert sum(stage.computed for stage in result.stages.values()) == len(found) - within
    assert all(
        list(Path(uri.removeprefix("file://")).glob(f"{kind}/**/manifest.json")) for kind in set(found)
    )


def test_a_rerun_computes_nothing_and_all_its_steps_end_as_cached(tiny, tiny_run, monkeypatch) -> None:
    uri, before = tiny_run
    stood = tiny.contents(uri)
    monkeypatch.setenv("INCEPTION_LOOP_STORE", uri)
    state = inception_loop(tiny.tiny_parameters(), return_state=True)
    again = state.result()
    assert {name: stage.computed for name, stage in again.stages.items()} == dict.fromkeys(before.stages, 0)
    assert again.report == before.report
    assert tiny.contents(uri) == stood
    steps = sum(stage.cached for stage in again.stages.values())
    assert states_of_steps(state.state_details.flow_run_id, steps) == ["Cached"] * steps


def states_of_steps(flow_run, expected: int) -> list[str]:
    """Return the final states of the task runs of a run's stages; the server hears of them a little later."""
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        stages = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run]))
        ids = [run.id for run in client.read_flow_runs(flow_run_filter=stages, limit=200)]
        of_stages = FlowRunFilter(id=FlowRunFilterId(any_=ids))
        while True:
            runs = client.read_task_runs(flow_run_filter=of_stages, limit=200)
            names = [str(run.state_name) for run in runs]
            ended = [run for run in runs if run.state is not None and run.state.is_final()]
            if len(ended) >= expected or time.monotonic() > deadline:
                return names
            time.sleep(0.2)


def test_a_step_that_fails_fails_the_run_and_leaves_nothing_but_why(
    tiny, tiny_run, copy, monkeypatch
) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_STORE", copy)
    parameters = tiny.tiny_parameters()
    strict = parameters.selection.model_copy(update={"min_units": 1000})
    state = inception_loop(parameters.model_copy(update={"selection": strict}), return_state=True)
    assert state.is_failed()
    with pytest.raises(DataError, match="expected at least 1000"):
        state.result()
    store = open_store(copy)
    (why,) = listing.artifacts(store, "refused_selection")
    assert why.ref.kind == "refused_selection"
    more = files(copy) - files(tiny_run[0])
    assert {name.split("/")[0] for name in more} == {"refused_selection"}


def files(uri: str) -> set[str]:
    """Return every file of a store on disk, without its leases and what its runs tell of themselves."""
    root = Path(uri.removeprefix("file://"))
    names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith(("_leases/", "_events/"))}


def test_unknown_keys_are_refused_before_anything_starts(
    tiny, tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = tiny.tiny_parameters().model_dump(mode="json")
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    with pytest.raises(ParameterTypeError, match="unknown"):
        inception_loop({**values, "unknown": 1})
    config = tmp_path / "loop.toml"
    config.write_text("unknown = 1\n" + tiny.as_toml(tiny.tiny_parameters()))
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "loop", "--config", str(config), "--store", f"file://{tmp_path}/store"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "error: LoopParameters: unknown key 'unknown'; expected animal, twin_path, session, "
    )
    assert said.endswith(" (see --print-schema)\n")
    assert not (tmp_path / "store").exists()
    assert FlowRunContext.get() is None


@pytest.mark.acceptance
def test_the_same_loop_on_minio_has_the_same_bytes(tiny, tiny_run, s3_uri) -> None:
    uri, _ = tiny_run
    result = tiny.run_here(s3_uri, tiny.tiny_parameters())
    assert tiny.contents(s3_uri) == tiny.contents(uri)
    here, there = open_store(uri), open_store(s3_uri)
    models = result.stages["train"].refs["model"]
    assert len(models) == MODELS
    for ref in models:
        on_disk = here.arrays(ref.model_copy(update={"uri": ref.uri.replace(s3_uri, uri)}), "weights")
        on_minio = there.arrays(ref, "weights")
        assert on_disk.keys() == on_minio.keys()
        for name, weights in on_minio.items():
            assert (weights.dtype, weights.shape) == (on_disk[name].dtype, on_disk[name].shape)
            assert weights.tobytes() == on_disk[name].tobytes()


def test_parameters_survive_their_way_through_toml(tiny, tmp_path) -> None:
    parameters = tiny.tiny_parameters()
    file = tmp_path / "loop.toml"
    file.write_text(tiny.as_toml(parameters))
    assert LoopParameters.model_validate(read_toml(file)) == parameters
    assert LoopParameters.model_validate(json.loads(parameters.model_dump_json())) == parameters

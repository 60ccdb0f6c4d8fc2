"""What an experimenter has of Prefect: forms, runs, failures, a schedule; real services, a real browser.

One module, since the services are started once. Pictures of what was seen lie in outputs/tests/ui, or under
TEST_ARTIFACTS.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.timeout(1800)]

STEPS = ("imported_recording", "static_scan", "excluded_trial", "stack_coordinates", "monitor_calibration")
KINDS = {"recording", *STEPS[1:]}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """40 photographs and 5 units, as a file of the worker's machine."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("rig") / "v4.npz"
    images, responses = rng.integers(0, 256, (40, 36, 64), np.uint8), rng.random((40, 5), np.float32)
    np.savez(path, images=images, responses=responses)
    return path


def import_parameters(path: Path, animal_id: int) -> dict[str, Any]:
    scan = {"animal_id": animal_id, "session": 1, "scan_idx": 1}
    return {"parameters": {"path": str(path), "scan": scan, "options": {"trace_kind": "spikes"}}}


def manifests(services, animal_id: int) -> list[Path]:
    """Manifests of an animal's artifacts."""
    store = Path(services.store.removeprefix("file://"))
    return list(store.rglob(f"animal_id={animal_id}/**/manifest.json"))


def artifacts(services, run: str) -> dict[str, dict[str, Any]]:
    """What a run has published in the UI, by key."""
    found = services.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
    return {one["key"]: one for one in found if one["key"]}


def step_states(services, run: str) -> dict[str, str]:
    """Return how the steps of an ended run ended; the server learns it from events, a little later."""

    def ended() -> list[dict[str, Any]]:
        found = services.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        over = [one for one in found if one["state_type"] == "COMPLETED"]
        return over if len(over) >= len(STEPS) else []

    found = services.until(f"the end of {len(STEPS)} steps", ended)
    return {one["name"].partition(" ")[0]: one["state_name"] for one in found}


@pytest.mark.browser
def test_a_wrong_value_is_refused_in_the_form(ui, services, recorded) -> None:
    deployment = services.deployment("import")
    ui.open(f"/deployments/deployment/{deployment}/run")
    ui.fill("path", str(recorded))
    ui.fill("animal_id", "-4")
    ui.fill("session", "1")
    ui.fill("scan_idx", "1")
    ui.press("Submit")
    refused = ui.field("animal_id").get_by_role("spinbutton")
    assert refused.evaluate("field => field.validationMessage") == "Value must be greater than or equal to 0."
    assert refused.evaluate("field => field === document.activeElement")
    ui.photograph("refused-number")
    assert services.runs(deployment) == []


@pytest.mark.browser
def test_an_artifact_of_another_kind_is_refused_by_its_name(ui, services) -> None:
    deployment = services.deployment("ingest")
    ui.open(f"/deployments/deployment/{deployment}/run")
    ui.press("Add item")
    ui.sees("recording/ and the beginning of a digest")
    ui.fill("recordings", "model/0123abcd")
    ui.press("Submit")
    ui.sees("Validation failed for field 'parameters.recordings[0]'")
    ui.sees("'model/0123abcd' does not match '^recording/[0-9a-f]+$'")
    ui.photograph("refused-artifact")
    assert services.runs(deployment) == []


@pytest.mark.browser
def test_a_form_is_filled_in_and_the_run_shows_what_it_made(ui, services, recorded) -> None:
    deployment = services.deployment("import")
    ui.open(f"/deployments/deployment/{deployment}")
    ui.turn_to("Description")
    ui.sees("A recording from disk becomes artifacts; the path is one of the worker's machine.")
    ui.press("Run")
    ui.page.get_by_role("menuitem", name="Custom run").click()
    ui.sees("File or folder of the recording, on the machine that runs the flow.")
    ui.fill("path", str(recorded))
    for name, number in (("animal_id", "4"), ("session", "1"), ("scan_idx", "2")):
        ui.fill(name, number)
    ui.choose("trace_kind", "one of", "spikes")
    ui.photograph("form")
    ui.submit()
    ui.press("View run")
    ui.page.wait_for_url("**/runs/flow-run/*")
    run = services.ended(ui.page.url.partition("/flow-run/")[2].partition("?")[0])
    assert (run["name"], run["state_name"]) == ("import 4-1-2", "Completed")
    ui.open(f"/runs/flow-run/{run['id']}")
    ui.sees("import 4-1-2")
    ui.sees("Completed")
    ui.turn_to("Task Runs")
    for step in STEPS:
        ui.sees(f"{step} 4-1-2")
    ui.photograph("run")
    ui.turn_to("Artifacts")
    ui.sees("import-artifacts")
    ui.sees("import: 5 computed, 0 already there")
    ui.sees("1 recording: 40 trials, 0 excluded, 5 units")
    ui.photograph("artifacts")
    table = artifacts(services, run["id"])["import-artifacts"]
    ui.open(f"/artifacts/artifact/{table['id']}")
    rows = json.loads(table["data"])
    assert {row["kind"] for row in rows} == KINDS
    for row in rows:
        ui.sees(row["digest"])
    ui.photograph("result")


@pytest.mark.browser
def test_a_failed_run_says_in_one_line_what_to_do(ui, services, recorded) -> None:
    absent = recorded.with_name("absent.npz")
    asked = {"parameters": import_parameters(absent, 4), "state": {"type": "SCHEDULED"}}
    made = services.ask(f"deployments/{services.deployment('import')}/create_flow_run", asked)
    run = services.ended(made["id"])
    assert run["state_name"] == "Failed"
    what = f"RecordingError: there is no file or folder {absent}; expected a recording"
    said = f"{what}; give its path on the machine that reads it"
    assert run["state"]["message"] == f"Flow run encountered an exception: {said}"
    ui.open(f"/runs/flow-run/{made['id']}")
    ui.sees("Failed")
    ui.turn_to("Details")
    ui.sees(said)
    ui.photograph("failed")


@pytest.mark.acceptance
def test_a_schedule_fires_and_its_second_run_finds_everything_cached(services, recorded) -> None:
    deployment = services.deployment("import")
    every = {"schedule": {"interval": 5}, "active": True, "parameters": import_parameters(recorded, 9)}
    (schedule,) = services.ask(f"deployments/{deployment}/schedules", [every])

    def two() -> list[dict[str, Any]]:
        ran = [run for run in services.runs(deployment) if run["auto_scheduled"] and run["start_time"]]
        return ran[:2] if len(ran) > 1 else []

    first, second = [services.ended(run["id"]) for run in services.until("the schedule fires twice", two)]
    services.drop(f"deployments/{deployment}/schedules/{schedule['id']}")
    assert first["expected_start_time"] < second["expected_start_time"]
    assert (first["name"], first["state_name"]) == ("import 9-1-1", "Completed")
    assert (second["name"], second["state_name"]) == ("import 9-1-1", "Completed")
    assert step_states(services, first["id"]) == dict.fromkeys(STEPS, "Completed")
    assert step_states(services, second["id"]) == dict.fromkeys(STEPS, "Cached")
    said = [artifacts(services, run["id"])["import-artifacts"] for run in (first, second)]
    assert [one["description"] for one in said] == [
        "import: 5 computed, 0 already there",
        "import: 0 computed, 5 already there",
    ]
    assert said[0]["data"] == said[1]["data"]
    begun = datetime.fromisoformat(second["start_time"]).timestamp()
    written = [path.stat().st_mtime for path in manifests(services, 9)]
    assert len(written) == len(KINDS)
    assert max(written) < begun

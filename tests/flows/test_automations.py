"""What the server does by itself to runs that never began, and to those that live after all."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml

from flows.telling.runs import PASSED_OVER
from flows.watch import QUARANTINED

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S, PATIENCE_S = 10, 90.0  # the least that a server takes


@pytest.fixture
def ask(prefect_api) -> Callable[..., dict]:
    """Function that asks the server's API."""

    def ask(method: str, path: str, body: object = None) -> dict:
        answer = httpx.request(method, f"{prefect_api}{path}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    return ask


def run_in(ask, flow: str, *states: dict) -> str:
    run: str = ask("POST", "/flow_runs/", {"flow_id": flow})["id"]
    for state in states:
        ask("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": True})
    return run


def test_a_run_that_was_taken_and_never_began_is_crashed_and_one_that_waits_or_runs_is_not(ask) -> None:
    automations = yaml.safe_load((ROOT / "deployments" / "automations.yaml").read_text())["automations"]
    (spec,) = [one for one in automations if one["name"] == "crashed-before-it-ran"]
    shorter = {**spec["trigger"], "within": WITHIN_S}
    made = ask("POST", "/automations/", {**spec, "name": "never began, shortened", "trigger": shorter})["id"]
    flow = ask("POST", "/flows/", {"name": "never-began"})["id"]
    pending = {"type": "PENDING", "name": "Pending"}
    later = {"scheduled_time": "2100-01-01T00:00:00Z"}
    waiting = {"type": "SCHEDULED", "name": "AwaitingConcurrencySlot", "state_details": later}
    left = run_in(ask, flow, pending)
    others = {
        run_in(ask, flow, pending, waiting): "AwaitingConcurrencySlot",
        run_in(ask, flow, pending, {"type": "RUNNING", "name": "Running"}): "Running",
    }

    def state_of(run: str) -> str:
        return str(ask("GET", f"/flow_runs/{run}")["state_name"])

    deadline = time.monotonic() + PATIENCE_S
    while state_of(left) == "Pending" and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(WITHIN_S)  # the others had as long
    found = {run: state_of(run) for run in others}
    ask("DELETE", f"/automations/{made}")
    for run in (left, *others):
        ask("DELETE", f"/flow_runs/{run}")
    assert found == others
    assert deadline > time.monotonic(), "the run stayed Pending"


def test_a_run_that_was_taken_for_dead_runs_again_at_its_next_sign_of_life(ask) -> None:
    """One that is dead stays so, though its last sign of life may come late; one that is through, too."""
    automations = yaml.safe_load((ROOT / "deployments" / "automations.yaml").read_text())["automations"]
    (spec,) = [one for one in automations if one["name"] == "alive-after-all"]
    made = ask("POST", "/automations/", {**spec, "name": "alive, for the test"})["id"]
    flow = ask("POST", "/flows/", {"name": "alive-after-all"})["id"]
    before = datetime.now(UTC).isoformat()
    running, crashed = ({"type": kind, "name": kind.title()} for kind in ("RUNNING", "CRASHED"))
    alive, dead = (run_in(ask, flow, running, crashed) for _ in range(2))
    through = run_in(ask, flow, running, {"type": "COMPLETED", "name": "Completed"})

    def state_of(run: str) -> str:
        return str(ask("GET", f"/flow_runs/{run}")["state_name"])

    def beat(run: str, when: str | None = None) -> None:
        event = {
            "id": str(uuid.uuid4()),
            "occurred": when or datetime.now(UTC).isoformat(),
            "event": "prefect.flow-run.heartbeat",
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.name": "x"},
        }
        ask("POST", "/events", [event])

    deadline = time.monotonic() + PATIENCE_S
    while state_of(alive) == "Crashed" and time.monotonic() < deadline:
        beat(dead, before)
        beat(through)
        beat(alive)
        time.sleep(1)
    found = [state_of(run) for run in (alive, dead, through)]
    ended = ask("POST", f"/flow_runs/{alive}/set_state", {"state": {"type": "COMPLETED"}})["status"]
    ask("DELETE", f"/automations/{made}")
    for run in (alive, dead, through):
        ask("DELETE", f"/flow_runs/{run}")
    assert found == ["Running", "Crashed", "Completed"]
    assert ended == "ACCEPT"


def test_a_run_that_ends_well_under_a_name_of_its_own_is_taken_for_dead_by_no_automation() -> None:
    """Its event is called after the state's name, not its type."""
    known = yaml.safe_load((ROOT / "deployments" / "automations.yaml").read_text())["automations"]
    crashing = [one for one in known if one["actions"][0].get("state") == "CRASHED"]
    assert len(crashing) == 2
    for one in crashing:
        assert {f"prefect.flow-run.{name}" for name in (PASSED_OVER, QUARANTINED)} < set(
            one["trigger"]["expect"]
        )

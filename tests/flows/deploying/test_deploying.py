"""What the files in deployments/ say is made true on a server; a later day starts its flow by itself."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import tomli_w
import yaml
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.flows import flow

from flows.cli_deploy import files
from flows.watch import IMPORTED

ROOT = Path(__file__).resolve().parents[3]
USAGE, SOON_S = 2, 30.0


def everything(server) -> list:
    """Return all that the server knows of pools, queues, deployments and automations, times and all."""
    pools = server.read_work_pools()
    found = [
        *pools,
        *(server.read_work_queue_by_name(name, work_pool_name="local") for name in ("cpu", "gpu")),
        *server.read_deployments(limit=100),
        *server.read_automations(),
        *server.read_variables(),
    ]
    volatile = {"last_polled", "status", "created", "updated"}
    return sorted((one.model_dump(exclude=volatile) for one in found), key=lambda one: str(one["id"]))


def test_deploying_makes_everything_and_again_nothing(deployed, server, changes, tmp_path) -> None:
    assert set(deployed("--dry-run").values()) == {"created"}
    assert server.read_deployments() == []
    assert set(deployed().values()) == {"created"}
    before = everything(server)
    again = deployed()
    assert changes(again) == {}
    assert everything(server) == before
    names = {
        one["name"] for one in yaml.safe_load((ROOT / "deployments/prefect.yaml").read_text())["deployments"]
    }
    assert {name.rpartition("/")[2] for name in again if name.startswith("deployment ")} == names
    _check_night(server)
    _check_changes(deployed, server, changes, tmp_path)


def _check_night(server) -> None:
    """Heavy runs go one at a time, schedules wait for a folder, runs give signs of life."""
    night = server.read_deployment_by_name("night/night")
    assert (night.work_pool_name, night.work_queue_name) == ("local", "gpu")
    assert server.read_work_queue_by_name("gpu", work_pool_name="local").concurrency_limit == 1
    assert server.read_work_queue_by_name("cpu", work_pool_name="local").concurrency_limit is None
    assert night.global_concurrency_limit is None  # its lease would end it when the server is away for long
    conclude = server.read_deployment_by_name("conclude/conclude")
    assert conclude.global_concurrency_limit.limit == 1
    assert conclude.concurrency_options.collision_strategy.value == "ENQUEUE"
    assert [one.active for one in night.schedules] == [False]
    assert night.job_variables["env"] == {
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_CLIENT_MAX_RETRIES": "8",
    }
    assert night.job_variables["working_dir"] == "."  # of the worker, whatever machine deploys
    (watch,) = server.read_deployment_by_name("watch/watch").schedules
    assert (watch.active, watch.schedule.interval.total_seconds()) == (False, 300)


def _check_changes(deployed, server, changes, tmp_path) -> None:
    """What a lab says is set and stays; what somebody changed on the server is put right."""
    (tmp_path / "night.toml").write_text(tomli_w.dumps({"dataset": {"group_id": 0, "description": "ours"}}))
    given = deployed("--watch", "/data/arrivals", "--parameters", f"night={tmp_path / 'night.toml'}")
    assert {name for name, state in given.items() if state == "changed"} >= {
        "deployment watch/watch",
        "deployment night/night",
        "schedule watch/watch every-few-minutes",
        "schedule night/night every-night",
    }
    night = server.read_deployment_by_name("night/night")
    server.update_work_queue(
        server.read_work_queue_by_name("gpu", work_pool_name="local").id, concurrency_limit=7
    )
    assert changes(deployed()) == {"work queue local/gpu": "changed"}
    kept = server.read_deployment_by_name("night/night")
    assert kept.parameters == night.parameters
    assert kept.parameters["parameters"]["dataset"]["description"] == "ours"
    watch = server.read_deployment_by_name("watch/watch")
    assert watch.parameters == {"parameters": {"folder": "/data/arrivals"}}
    assert [one.active for one in [*watch.schedules, *kept.schedules]] == [True, True]
    server.update_deployment_schedule(watch.id, watch.schedules[0].id, active=False)
    assert set(deployed().values()) == {"unchanged"}  # somebody has switched it off
    assert not server.read_deployment_by_name("watch/watch").schedules[0].active


def test_an_event_of_a_later_day_starts_its_conclusion_and_one_of_a_first_day_nothing(
    deployed, server, tmp_path
) -> None:
    deployed()

    @flow
    def tells() -> None:
        for day, scan in (("first", "17-1-1"), ("later", "17-2-1")):
            resource = {"prefect.resource.id": f"inception-loop.scan.{scan}", "inception-loop.day": day}
            emit_event(IMPORTED, resource=resource, payload={"recording": f"recording/{day}"})

    tells()
    EventsWorker.drain_all()
    named = DeploymentFilter(name=DeploymentFilterName(any_=["conclude"]))
    deadline = time.monotonic() + SOON_S

    def started() -> list:
        runs = server.read_flow_runs(deployment_filter=named)
        return [run for run in runs if not run.auto_scheduled]  # those of its schedule are another matter

    while not (runs := started()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [run.parameters for run in runs] == [
        server.read_deployment_by_name("conclude/conclude").parameters
    ]
    for run in runs:
        server.delete_flow_run(run.id)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--parameters", "night"), "expected NAME=FILE.toml"),
        (("--parameters", "nigth={good}"), "nigth"),
        (("--parameters", "night={bad}"), "NightParameters: unknown key 'grod'"),
        (("--watch", "s3://key:secret@bucket/x"), "credentials"),
        (("--deployments", "{empty}"), "cannot read {empty}/prefect.yaml"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_deployed(
    call, monkeypatch, prefect_api, tmp_path, words, said
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    (tmp_path / "good.toml").write_text("")
    (tmp_path / "bad.toml").write_text("grod = 1")
    places = {"good": tmp_path / "good.toml", "bad": tmp_path / "bad.toml", "empty": tmp_path}
    answer = call("deploy", *(word.format(**places) for word in words))
    assert (answer.status, answer.out) == (USAGE, "")
    assert answer.err.count("\n") == 1
    assert said.format(**places) in answer.err
    assert "secret" not in answer.err


def test_without_a_server_nothing_is_deployed(call, monkeypatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    answer = call("deploy")
    assert answer.status == USAGE
    assert "PREFECT_API_URL is not set; expected the address" in answer.err


def test_the_projects_files_are_found_from_anywhere(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert (files() / "prefect.yaml").read_text() == (ROOT / "deployments" / "prefect.yaml").read_text()
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "prefect.yaml").touch()
    assert files() == Path("deployments")


def test_other_places_take_the_same_deployments(deployed, server, changes) -> None:
    """A server accepts pools, templates and job variables; workers of these places are another matter."""
    made = deployed("--pool", "docker", "--watch", "s3://recordings/rig-1")
    pools = {name for name, state in made.items() if name.startswith("work pool") and state == "created"}
    assert pools == {"work pool docker-cpu", "work pool docker-gpu"}
    night, watch = (server.read_deployment_by_name(name) for name in ("night/night", "watch/watch"))
    assert (night.work_pool_name, watch.work_pool_name) == ("docker-gpu", "docker-cpu")
    other = deployed("--pool", "kubernetes", "--dry-run")
    assert other["work pool kubernetes-gpu"] == "created"
    assert other["deployment night/night"] == "changed"
    assert changes(deployed()) == {}  # they stay where they are
    deployed("--pool", "local")
    assert server.read_deployment_by_name("night/night").work_pool_name == "local"


def test_the_other_places_know_their_pools() -> None:
    pools = yaml.safe_load((ROOT / "deployments" / "pools.yaml").read_text())
    assert set(pools) == {"local", "docker", "kubernetes"}
    for place in pools.values():
        assert sorted(queue for pool in place for queue in pool["queues"]) == ["cpu", "gpu"]
        for pool in place:
            template = pool.get("base_job_template")
            assert template is None or json.loads((ROOT / "deployments" / template).read_text())

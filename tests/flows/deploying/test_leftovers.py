"""What no file names any more is removed, if it was made by deploying and nobody has made it their own."""

from __future__ import annotations

import pytest
import yaml
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.events.schemas.automations import AutomationCore


@pytest.fixture
def more(folder):
    """Function that adds a deployment, a schedule and two automations to the files of a project."""

    def more(project: str) -> str:
        path = folder / "prefect.yaml"
        said = yaml.safe_load(path.read_text())
        night = next(one for one in said["deployments"] if one["name"] == "night")
        night["schedules"].append({"slug": "at-noon", "cron": "0 12 * * *", "active": False})
        said["deployments"].append({**night, "name": "second"})
        path.write_text(yaml.safe_dump({**said, "name": project}))
        path = folder / "automations.yaml"
        said = yaml.safe_load(path.read_text())
        first = said["automations"][0]
        said["automations"] += [{**first, "name": "of-once"}, {**first, "name": "renamed-by-the-lab"}]
        path.write_text(yaml.safe_dump(said))
        return str(folder)

    return more


def test_what_was_deployed_and_is_named_no_more_is_removed_and_what_is_the_labs_stays(
    deployed, server, changes, more
) -> None:
    made = deployed("--deployments", more("inception-loop"))
    removed = {
        "deployment night/second": "removed",
        "schedule night/night at-noon": "removed",
        "automation of-once": "removed",
    }
    assert {made[name] for name in removed} == {"created"}
    copy = _make_own(server)
    assert changes(deployed("--dry-run")) == removed
    assert server.read_deployment_by_name("night/second")
    assert changes(deployed()) == removed
    assert deployed.why["automation of-once"] == "no file names it any more"
    assert changes(deployed()) == {}
    names = {one.name for one in server.read_deployments(limit=100)}
    assert "second" not in names
    assert server.read_deployment_by_name("night/second of the lab").id == copy
    automations = {one.name for one in server.read_automations()}
    assert "mine" in automations
    assert "of-once" not in automations
    assert [one.slug for one in server.read_deployment_by_name("night/night").schedules] == ["every-night"]


def _make_own(server):
    """Copy a deployment as the UI does, and give an automation another name."""
    found = server.read_deployment_by_name("night/second")
    kept = {"entrypoint", "parameters", "work_pool_name", "work_queue_name", "tags", "job_variables"}
    copy = server.create_deployment(found.flow_id, "second of the lab", **found.model_dump(include=kept))
    (automation,) = server.read_automations_by_name("renamed-by-the-lab")
    server.update_automation(
        automation.id,
        AutomationCore(**{**automation.model_dump(exclude={"id", "owner_resource"}), "name": "mine"}),
    )
    return copy


def test_a_limit_that_the_files_do_not_name_is_lifted(deployed, server) -> None:
    deployed()
    report = server.read_deployment_by_name("report/report")
    in_turn = ConcurrencyOptions(collision_strategy="ENQUEUE")
    server.update_deployment(
        report.id, DeploymentUpdate(concurrency_limit=3, concurrency_options=in_turn, paused=False)
    )
    assert server.read_deployment_by_name("report/report").global_concurrency_limit.limit == 3
    assert deployed()["deployment report/report"] == "changed"
    report = server.read_deployment_by_name("report/report")
    assert (report.global_concurrency_limit, report.concurrency_options) == (None, None)
    assert deployed()["deployment report/report"] == "unchanged"


def test_other_projects_are_left_alone(deployed, server, changes, more) -> None:
    deployed()
    deployed("--deployments", more("of-a-lab"))
    assert "removed" not in changes(deployed()).values()
    assert server.read_deployment_by_name("night/second")

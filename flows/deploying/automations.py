"""What the server does by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from flows.deploying.standing import Standing
from flows.deploying.steps import Step, step
from flows.deploying.wanted import Wanted

COMPARED = {"name", "description", "enabled", "trigger", "actions"}
NOT_YET = "00000000-0000-0000-0000-000000000000"
"""Id of a deployment that is still to be made."""


def automations(server: Standing, wanted: Wanted) -> Iterator[Step]:
    """Yield what makes the automations as they are wanted; one that was switched off stays so."""
    for one in wanted.automations:
        yield _automation(server.client, one)


def _automation(client: SyncPrefectClient, wanted: Mapping[str, Any]) -> Step:
    found = next(iter(client.read_automations_by_name(wanted["name"])), None)

    def after() -> AutomationCore:
        core = AutomationCore.model_validate({**wanted, "actions": _actions(client, wanted["actions"])})
        core.enabled = core.enabled if found is None else found.enabled
        return core

    def write() -> None:  # by now the deployments that it names have been made
        if found is None:
            client.create_automation(after())
        else:
            client.update_automation(found.id, after())

    before = found and found.model_dump(include=COMPARED)
    return step("automation", wanted["name"], before, after().model_dump(include=COMPARED), write)


def _actions(client: SyncPrefectClient, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **{key: value for key, value in one.items() if key != "deployment"},
            **({"deployment_id": _id(client, one["deployment"])} if "deployment" in one else {}),
        }
        for one in wanted
    ]


def _id(client: SyncPrefectClient, name: str) -> str:
    try:
        return str(client.read_deployment_by_name(name).id)
    except ObjectNotFound:
        return NOT_YET

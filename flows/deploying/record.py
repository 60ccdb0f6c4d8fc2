"""The server's own note of what was deployed, by which it is known again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.responses import DeploymentResponse

from flows.deploying.wanted import Wanted, full_name


class Record(NamedTuple):
    """Ids by name. A copy that a lab makes has an id of its own."""

    deployments: dict[str, str]
    schedules: dict[str, str]
    automations: dict[str, str]


def schedule_name(deployment: str, slug: str) -> str:
    """Return what a schedule is called: its deployment, then its own name."""
    return f"{deployment} {slug}"


def read_record(client: SyncPrefectClient, project: str) -> Record:
    """Return what was deployed for a project; nothing before this was noted."""
    found = client.read_variable_by_name(_variable(project))
    value = found.value if found is not None and isinstance(found.value, Mapping) else {}
    return Record(*(dict(value.get(what, {})) for what in Record._fields))


def write_record(
    client: SyncPrefectClient, wanted: Wanted, before: Record, found: Mapping[str, DeploymentResponse]
) -> None:
    """Note what stands now under the names of the files; of schedules, what stood once as well."""
    after = Record({}, {}, {})
    for one in wanted.deployments:
        name = full_name(one)
        after.deployments[name] = str(found[name].id)
        there = {schedule.slug: str(schedule.id) for schedule in found[name].schedules}
        for slug in (said["slug"] for said in one.get("schedules", [])):
            schedule = schedule_name(name, slug)
            after.schedules[schedule] = there.get(slug) or before.schedules.get(schedule, "")
    for one in wanted.automations:
        for automation in client.read_automations_by_name(one["name"])[:1]:
            after.automations[one["name"]] = str(automation.id)
    if after != before:
        _write(client, _variable(wanted.project), after)


def _write(client: SyncPrefectClient, name: str, record: Record) -> None:
    if client.read_variable_by_name(name) is None:
        client.create_variable(VariableCreate(name=name, value=record._asdict()))
    else:
        client.update_variable(VariableUpdate(name=name, value=record._asdict()))


def _variable(project: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", f"{project.lower()}_deployed")

"""What the files in ``deployments/`` say, made true on a Prefect server; what is true is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from prefect import Flow
from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import construct_schedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.workers.base import BaseWorker

from inception_loop.errors import ConfigurationError


class Change(NamedTuple):
    """What deploying did, or would do, to one thing on the server: created, changed or unchanged."""

    what: str
    name: str
    state: str


class Wanted(NamedTuple):
    """What the files say, and what a lab says beside them.

    Attributes
    ----------
    deployments, pools, automations
        As in the files; pools are those of one place.
    folder
        Where the files lie.
    parameters
        Of deployments, by name: they are set. Of the others they stay as they are.
    active
        Deployments whose schedules are switched on. Those of the others stay as they are.
    """

    deployments: list[dict[str, Any]]
    pools: list[dict[str, Any]]
    automations: list[dict[str, Any]]
    folder: Path
    parameters: Mapping[str, Mapping[str, Any]]
    active: frozenset[str]


def read_wanted(
    folder: Path,
    place: str,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    active: frozenset[str] = frozenset(),
) -> Wanted:
    """Read ``prefect.yaml``, ``pools.yaml`` and ``automations.yaml`` of a folder.

    Raises
    ------
    ConfigurationError
        If one is missing or no YAML, or there is no such place or deployment.
    """
    deployments = _read(folder / "prefect.yaml")["deployments"]
    places = _read(folder / "pools.yaml")
    if place not in places:
        raise ConfigurationError(
            f"{folder / 'pools.yaml'} has no place {place!r}; expected one of {', '.join(places)}"
        )
    unknown = sorted({*(parameters or {}), *active} - {one["name"] for one in deployments})
    if unknown:
        raise ConfigurationError(
            f"there is no deployment {unknown[0]!r}; expected one of "
            f"{', '.join(sorted(one['name'] for one in deployments))}"
        )
    automations = _read(folder / "automations.yaml")["automations"]
    return Wanted(deployments, places[place], automations, folder, parameters or {}, active)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}; expected the project's folder deployments"
        ) from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path} is no YAML: {error}; correct it") from error


def deploy(wanted: Wanted, *, dry_run: bool = False) -> list[Change]:
    """Make a server as the files say; the same again changes nothing.

    Returns
    -------
    What was done to pools, queues, deployments and automations, or would be with ``dry_run``.
    """
    with get_client(sync_client=True) as client:
        made = _Deploying(client, wanted, dry_run)
        for pool in wanted.pools:
            made.pool(pool)
        for deployment in wanted.deployments:
            made.deployment(deployment)
        for automation in wanted.automations:
            made.automation(automation)
        return made.changes


class _Deploying:
    """One pass over everything that is wanted."""

    def __init__(self, client: SyncPrefectClient, wanted: Wanted, dry_run: bool) -> None:
        self.client, self.wanted, self.dry_run = client, wanted, dry_run
        self.changes: list[Change] = []

    def _change(self, what: str, name: str, before: object, after: object, act: Callable[[], Any]) -> None:
        state = "created" if before is None else "unchanged" if before == after else "changed"
        if state != "unchanged" and not self.dry_run:
            act()
        self.changes.append(Change(what, name, state))

    # --- pools ----------------------------------------------------------------------------------------------

    def pool(self, wanted: Mapping[str, Any]) -> None:
        """Create a work pool and its queues, or correct them."""
        name, template = wanted["name"], self._template(wanted)
        try:
            found = self.client.read_work_pool(name)
        except ObjectNotFound:
            found = None
        if found is not None and found.type != wanted["type"]:
            raise ConfigurationError(
                f"the server's work pool {name!r} is of type {found.type}; expected {wanted['type']}; "
                f"delete it (prefect work-pool delete {name}), or call the one of pools.yaml otherwise"
            )
        after = {"description": wanted["description"], "base_job_template": template}
        before = found and {field: getattr(found, field) for field in after}
        self._change("work pool", name, before, after, lambda: self._write_pool(wanted, after, found is None))
        for queue, limit in wanted["queues"].items():
            self._queue(name, queue, limit)

    def _template(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        if "base_job_template" in wanted:
            path = self.wanted.folder / wanted["base_job_template"]
            try:
                return dict(json.loads(path.read_text()))
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"cannot read the job template {path} ({error}); expected that of a checkout; "
                    "deploy from one"
                ) from error
        try:
            worker = BaseWorker.get_worker_class_from_type(wanted["type"])
        except ImportError:
            worker = None
        if worker is None:
            raise ConfigurationError(
                f"nothing here knows work pools of type {wanted['type']}; expected the extra 'containers'; "
                "pip install 'inception-loop[containers]'"
            )
        return dict(worker.get_default_base_job_template())

    def _write_pool(self, wanted: Mapping[str, Any], after: Mapping[str, Any], new: bool) -> None:
        if new:
            self.client.create_work_pool(WorkPoolCreate(name=wanted["name"], type=wanted["type"], **after))
        else:
            self.client.update_work_pool(wanted["name"], WorkPoolUpdate(**after))

    def _queue(self, pool: str, name: str, limit: int | None) -> None:
        try:
            found = self.client.read_work_queue_by_name(name, work_pool_name=pool)
        except ObjectNotFound:
            found = None

        def write() -> None:
            queue = found or self.client.create_work_queue(name, work_pool_name=pool)
            self.client.update_work_queue(queue.id, concurrency_limit=limit)

        before = found and (found.concurrency_limit or 0,)
        self._change("work queue", f"{pool}/{name}", before, (limit or 0,), write)

    # --- deployments ----------------------------------------------------------------------------------------

    def deployment(self, wanted: Mapping[str, Any]) -> None:
        """Create a deployment, or correct it; parameters and what is switched on are the lab's."""
        flow: Flow[..., Any] = load_flow_from_entrypoint(wanted["entrypoint"])
        name = f"{flow.name}/{wanted['name']}"
        try:
            found = self.client.read_deployment_by_name(name)
        except ObjectNotFound:
            found = None
        after = self._fields(wanted, found)
        after["parameter_openapi_schema"] = parameter_schema(flow).model_dump_for_openapi()
        self._change(
            "deployment", name, found and _standing(found), after, lambda: self._write(flow.name, after)
        )

    def _fields(self, wanted: Mapping[str, Any], found: DeploymentResponse | None) -> dict[str, Any]:
        queue, name = wanted["work_pool"]["work_queue_name"], wanted["name"]
        pool = next(one for one in self.wanted.pools if queue in one["queues"])
        variables = dict(pool.get("job_variables", {}))
        if "working_dir" in variables:
            variables["working_dir"] = str(Path(variables["working_dir"]).absolute())
        limit = wanted.get("concurrency_limit", {})
        parameters = dict(wanted.get("parameters", {})) if found is None else found.parameters
        if name in self.wanted.parameters:
            parameters = {"parameters": dict(self.wanted.parameters[name])}
        return {
            "name": name,
            "description": wanted["description"],
            "tags": sorted(wanted["tags"]),
            "entrypoint": wanted["entrypoint"],
            "parameters": parameters,
            "work_pool_name": pool["name"],
            "work_queue_name": queue,
            "job_variables": variables,
            "concurrency_limit": limit.get("limit"),
            "collision_strategy": limit.get("collision_strategy"),
            "schedules": [self._schedule(one, name, found) for one in wanted.get("schedules", [])],
        }

    def _schedule(
        self, wanted: Mapping[str, Any], name: str, found: DeploymentResponse | None
    ) -> dict[str, Any]:
        standing = {one.slug: one.active for one in found.schedules} if found is not None else {}
        when = {key: value for key, value in wanted.items() if key in ("cron", "interval", "timezone")}
        schedule = construct_schedule(**when).model_dump(mode="json", exclude={"anchor_date"})
        active = name in self.wanted.active or standing.get(wanted["slug"], wanted["active"])
        return {"slug": wanted["slug"], "active": active, "schedule": schedule}

    def _write(self, flow_name: str, after: Mapping[str, Any]) -> None:
        fields = {name: value for name, value in after.items() if name != "collision_strategy"}
        strategy = after["collision_strategy"]
        self.client.create_deployment(
            self.client.create_flow_from_name(flow_name),
            **fields | {"schedules": [DeploymentScheduleCreate(**one) for one in after["schedules"]]},
            concurrency_options=strategy and ConcurrencyOptions(collision_strategy=strategy),
            pull_steps=[],
            enforce_parameter_schema=True,
        )

    # --- automations ----------------------------------------------------------------------------------------

    def automation(self, wanted: Mapping[str, Any]) -> None:
        """Create an automation, or correct it; one that was switched off stays so."""
        found = next(iter(self.client.read_automations_by_name(wanted["name"])), None)
        after = AutomationCore.model_validate({**wanted, "actions": self._actions(wanted["actions"])})
        if found is not None:
            after.enabled = found.enabled
        compared = {"name", "description", "enabled", "trigger", "actions"}
        before = found and found.model_dump(include=compared)

        def write() -> None:
            if found is None:
                self.client.create_automation(after)
            else:
                self.client.update_automation(found.id, after)

        self._change("automation", wanted["name"], before, after.model_dump(include=compared), write)

    def _actions(self, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                **{key: value for key, value in one.items() if key != "deployment"},
                **({"deployment_id": self._id(one["deployment"])} if "deployment" in one else {}),
            }
            for one in wanted
        ]

    def _id(self, name: str) -> str:
        try:
            return str(self.client.read_deployment_by_name(name).id)
        except ObjectNotFound:  # a dry run has not made it
            return "00000000-0000-0000-0000-000000000000"


def _standing(found: DeploymentResponse) -> dict[str, Any]:
    """Return what a server knows of a deployment, as `_Deploying._fields` says what is wanted."""
    limit, options = found.global_concurrency_limit, found.concurrency_options
    schedules = [
        {
            "slug": one.slug,
            "active": one.active,
            "schedule": one.schedule.model_dump(mode="json", exclude={"anchor_date"}),
        }
        for one in found.schedules
    ]
    names = ("name", "description", "entrypoint", "parameters", "work_pool_name", "work_queue_name")
    return {
        **{name: getattr(found, name) for name in names},
        "tags": sorted(found.tags),
        "job_variables": found.job_variables,
        "concurrency_limit": limit and limit.limit,
        "collision_strategy": options and options.collision_strategy.value,
        "schedules": sorted(schedules, key=lambda one: str(one["slug"])),
        "parameter_openapi_schema": found.parameter_openapi_schema,
    }

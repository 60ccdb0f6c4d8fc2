"""Deployments: which flow runs where, with which parameters and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.utilities.callables import parameter_schema

from flows.deploying.arrivals import placed
from flows.deploying.parameters import checked, parameters_for
from flows.deploying.standing import Standing
from flows.deploying.steps import Step, step
from flows.deploying.wanted import Wanted, flow_of, full_name
from inception_loop.credentials import refuse_credentials

STANDING = (
    "description",
    "entrypoint",
    "parameters",
    "work_pool_name",
    "work_queue_name",
    "job_variables",
    "parameter_openapi_schema",
)
"""Fields of a deployment that a server returns as it was given them."""


def deployments(server: Standing, wanted: Wanted) -> Iterator[Step]:
    """Yield what makes the deployments as they are wanted.

    Raises
    ------
    ConfigurationError
        If the parameters of one, with what stands on the server, do not fit its flow,
        or its folder is none for runs there.
    """
    for one in wanted.deployments:
        flow, name = flow_of(one), full_name(one)
        found = server.deployments.get(name)
        parameters = parameters_for(wanted.given, one, found)
        checked(flow, one, parameters)
        if isinstance(values := parameters.get("parameters"), Mapping):  # runs may have been elsewhere before
            parameters["parameters"] = placed(values, wanted.place)
        after = {**_fields(wanted, one), "parameters": parameters, "parameter_openapi_schema": _schema(flow)}
        write = _writing(server.client, one["name"], flow.name, found, after)
        yield step("deployment", name, found and _standing(found), after, write)


@cache
def _schema(flow: Flow[..., Any]) -> dict[str, Any]:
    return parameter_schema(flow).model_dump_for_openapi()


def _fields(wanted: Wanted, one: Mapping[str, Any]) -> dict[str, Any]:
    queue, limit = one["work_pool"]["work_queue_name"], one.get("concurrency_limit", {})
    pool = next(pool for pool in wanted.pools if queue in pool["queues"])
    return {
        "description": one["description"],
        "tags": sorted(one["tags"]),
        "entrypoint": one["entrypoint"],
        "work_pool_name": pool["name"],
        "work_queue_name": queue,
        "job_variables": _variables(pool, one),
        "concurrency_limit": limit.get("limit"),
        "collision_strategy": limit.get("collision_strategy"),
    }


def _variables(pool: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job variables of a pool, and over them those of a deployment; both may set ``env``."""
    general, own = pool.get("job_variables", {}), one["work_pool"].get("job_variables", {})
    env = {**general.get("env", {}), **own.get("env", {})}
    variables = {**general, **own, **({"env": env} if env else {})}
    refuse_credentials(variables, f"job variables of {one['name']}")
    return variables


def _standing(found: DeploymentResponse) -> dict[str, Any]:
    """Return what a server knows of a deployment, as `_fields` says what is wanted."""
    limit, options = found.global_concurrency_limit, found.concurrency_options
    return {
        **{name: getattr(found, name) for name in STANDING},
        "tags": sorted(found.tags),
        "concurrency_limit": limit and limit.limit,
        "collision_strategy": options and options.collision_strategy.value,
    }


def _writing(
    client: SyncPrefectClient,
    name: str,
    flow: str,
    found: DeploymentResponse | None,
    after: Mapping[str, Any],
) -> Callable[[], Any]:
    """Return what makes a deployment, or changes it and leaves its schedules alone."""
    strategy = after["collision_strategy"]
    options = ConcurrencyOptions(collision_strategy=strategy) if strategy else None
    fields: dict[str, Any] = {key: value for key, value in after.items() if key != "collision_strategy"}
    fields |= {"concurrency_options": options, "pull_steps": [], "enforce_parameter_schema": True}

    def write() -> None:
        if found is None:
            client.create_deployment(client.create_flow_from_name(flow), name, **fields)
        else:
            client.update_deployment(found.id, DeploymentUpdate(**fields))

    return write

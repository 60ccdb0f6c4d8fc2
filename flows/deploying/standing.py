"""What stands on a server, read once before anything is decided."""

from __future__ import annotations

from typing import NamedTuple

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from flows.deploying.record import Record, read_record
from flows.deploying.wanted import Wanted, full_name


class Standing(NamedTuple):
    """What stands on a server.

    Attributes
    ----------
    client
        Speaks to it.
    deployments
        By name; those that the files name, or that were deployed before.
    record
        What was deployed before.
    """

    client: SyncPrefectClient
    deployments: dict[str, DeploymentResponse]
    record: Record


def standing_on(client: SyncPrefectClient, wanted: Wanted) -> Standing:
    """Look at a server."""
    record = read_record(client, wanted.project)
    names = {*(full_name(one) for one in wanted.deployments), *record.deployments}
    return Standing(client, {name: one for name in names if (one := _found(client, name))}, record)


def _found(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None

"""Where runs happen on a server that was deployed to before."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.deploying.record import read_record
from flows.deploying.wanted import read_yaml


def standing_place(folder: Path) -> str | None:
    """Return the place of what stands on the server; None if nothing does, or its pool is of no place.

    Parameters
    ----------
    folder
        Of the files, which say whose pool is of which place.
    """
    project = read_yaml(folder / "prefect.yaml")["name"]
    places = read_yaml(folder / "pools.yaml")
    place_of = {pool["name"]: place for place, pools in places.items() for pool in pools}
    with get_client(sync_client=True) as client:
        for name in read_record(client, project).deployments:
            with suppress(ObjectNotFound):
                return place_of.get(client.read_deployment_by_name(name).work_pool_name or "")
    return None

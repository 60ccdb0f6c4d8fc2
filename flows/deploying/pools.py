"""Work pools and their queues."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.base import BaseWorker

from flows.deploying.standing import Standing
from flows.deploying.steps import Step, step
from flows.deploying.wanted import Wanted
from inception_loop.errors import ConfigurationError


def pools(server: Standing, wanted: Wanted) -> Iterator[Step]:
    """Yield what makes the work pools and queues as they are wanted.

    Raises
    ------
    ConfigurationError
        If a pool of the name is of another type, or nothing here knows the type.
    """
    for one in wanted.pools:
        yield _pool(server.client, one, _template(wanted, one))
        for queue, limit in one["queues"].items():
            yield _queue(server.client, one["name"], queue, limit)


def _pool(client: SyncPrefectClient, wanted: Mapping[str, Any], template: dict[str, Any]) -> Step:
    name = wanted["name"]
    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        found = None
    if found is not None and found.type != wanted["type"]:
        raise ConfigurationError(
            f"the server's work pool {name!r} is of type {found.type}; expected {wanted['type']}; "
            f"delete it (prefect work-pool delete {name}), or call the one of pools.yaml otherwise"
        )
    after: dict[str, Any] = {"description": wanted["description"], "base_job_template": template}
    before = found and {field: getattr(found, field) for field in after}

    def write() -> None:
        if found is None:
            client.create_work_pool(WorkPoolCreate(name=name, type=wanted["type"], **after))
        else:
            client.update_work_pool(name, WorkPoolUpdate(**after))

    return step("work pool", name, before, after, write)


def _template(wanted: Wanted, pool: Mapping[str, Any]) -> dict[str, Any]:
    if "base_job_template" in pool:
        path = wanted.folder / pool["base_job_template"]
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"cannot read the job template {path} ({error}); expected that of a checkout; deploy from one"
            ) from error
    try:
        worker = BaseWorker.get_worker_class_from_type(pool["type"])
    except ImportError:
        worker = None
    if worker is None:
        raise ConfigurationError(
            f"nothing here knows work pools of type {pool['type']}; expected the extra 'containers'; "
            "pip install 'inception-loop[containers]'"
        )
    return dict(worker.get_default_base_job_template())


def _queue(client: SyncPrefectClient, pool: str, name: str, limit: int | None) -> Step:
    try:
        found = client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        found = None

    def write() -> None:
        queue = found or client.create_work_queue(name, work_pool_name=pool)
        client.update_work_queue(queue.id, concurrency_limit=limit)

    before = found and (found.concurrency_limit or 0,)
    return step("work queue", f"{pool}/{name}", before, (limit or 0,), write)

"""What was deployed before and no file names any more. Only what is on record as ours is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from flows.deploying.record import schedule_name
from flows.deploying.standing import Standing
from flows.deploying.steps import Change, Step
from flows.deploying.wanted import Wanted, full_name


def leftovers(server: Standing, wanted: Wanted) -> Iterator[Step]:
    """Yield what removes what was made here and no file names any more: deployments, schedules, automations.

    A copy that a lab has made has an id of its own, and one that it has renamed another name: both stay.
    """
    client, there, record = server
    files = {
        full_name(one): {said["slug"] for said in one.get("schedules", [])} for one in wanted.deployments
    }
    for name, known in record.deployments.items():
        found = there.get(name)
        if found is None or str(found.id) != known:
            continue
        if name not in files:
            yield _removed("deployment", name, partial(client.delete_deployment, found.id))
            continue
        for one in found.schedules:
            what = schedule_name(name, str(one.slug))
            if one.slug not in files[name] and record.schedules.get(what) == str(one.id):
                yield _removed("schedule", what, partial(client.delete_deployment_schedule, found.id, one.id))
    named = {one["name"] for one in wanted.automations}
    for name in record.automations.keys() - named:
        for automation in client.read_automations_by_name(name):
            if str(automation.id) == record.automations[name]:
                yield _removed("automation", name, partial(client.delete_automation, automation.id))


def _removed(what: str, name: str, remove: Callable[[], Any]) -> Step:
    return Step(Change(what, name, "removed", "no file names it any more"), remove)

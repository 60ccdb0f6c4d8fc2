"""When deployments run by themselves. Time and switch of a schedule that stands on a server are the lab's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import (
    SCHEDULE_TYPES,
    CronSchedule,
    IntervalSchedule,
    construct_schedule,
)

from flows.deploying.parameters import WATCH, watched_folder
from flows.deploying.record import schedule_name
from flows.deploying.standing import Standing
from flows.deploying.steps import Change, Step, left
from flows.deploying.wanted import Given, Wanted, full_name

NIGHT = "night"
"""Name of the deployment whose hours a lab may say."""


class _Said(NamedTuple):
    """A schedule of the files, and what a lab says of it."""

    deployment: str
    slug: str
    when: SCHEDULE_TYPES
    moved: bool  # the lab has just said when
    asked: bool  # the lab has just asked that it runs by itself
    first: bool  # … and never did before
    active: bool  # where it is new

    @property
    def name(self) -> str:
        return schedule_name(self.deployment, self.slug)


def schedules(server: Standing, wanted: Wanted) -> Iterator[Step]:
    """Yield what makes the schedules that the files name; others, of the lab's own, are not looked at."""
    given, client = wanted.given, server.client
    names = [full_name(one) for one in wanted.deployments if one["name"] == WATCH]
    folder = watched_folder(server.deployments.get(names[0])) if names else None
    for one in wanted.deployments:
        name = full_name(one)
        found = server.deployments.get(name)
        there = {schedule.slug: schedule for schedule in found.schedules} if found else {}
        for said in one.get("schedules", []):
            schedule = _said(given, one["name"], name, said, folder)
            standing = there.get(said["slug"])
            if standing is not None:
                yield _kept(client, schedule, standing)
            elif found and not schedule.asked and not schedule.moved and _was(server, schedule):
                yield left("schedule", schedule.name, "kept", "deleted on the server; --watch makes it anew")
            else:
                yield _created(client, schedule)


def _was(server: Standing, one: _Said) -> bool:
    return one.name in server.record.schedules


def _said(given: Given, deployment: str, name: str, said: Mapping[str, Any], folder: str | None) -> _Said:
    when = {key: value for key, value in said.items() if key in ("cron", "interval", "timezone")}
    moved = deployment == NIGHT and given.night is not None
    if moved and given.night is not None:
        when |= {"cron": given.night.moved(when.get("cron", "")), "timezone": given.night.timezone}
    by_itself = deployment in given.scheduled
    asked = by_itself and given.folder is not None
    active = said["active"] or asked or (by_itself and folder is not None)
    return _Said(
        name, said["slug"], construct_schedule(**when), moved, asked, asked and folder is None, active
    )


def _created(client: SyncPrefectClient, one: _Said) -> Step:
    def write() -> None:
        deployment = client.read_deployment_by_name(one.deployment).id
        new = DeploymentScheduleCreate(slug=one.slug, schedule=one.when, active=one.active)
        client.create_deployment_schedules(deployment, [new])

    why = f"{in_words(one.when)}{'' if one.active else ', switched off'}"
    return Step(Change("schedule", one.name, "created", why), write)


def _kept(client: SyncPrefectClient, one: _Said, standing: DeploymentSchedule) -> Step:
    """Leave time and switch of a schedule as they are, unless the lab says otherwise; say what differs."""
    name, differs = one.name, _plain(standing.schedule) != _plain(one.when)
    moves, switches = one.moved and differs, one.first and not standing.active
    reasons = []
    if differs and not moves:
        reasons.append(f"{in_words(standing.schedule)} on the server, {in_words(one.when)} in the files")
    if one.asked and not one.first and not standing.active:
        reasons.append("switched off on the server; switch it on there if it shall run again")
    if not moves and not switches:
        return left("schedule", name, "kept" if reasons else "unchanged", "; ".join(reasons))
    said = [in_words(one.when)] * moves + ["switched on"] * switches

    def write() -> None:
        client.update_deployment_schedule(
            client.read_deployment_by_name(one.deployment).id,
            standing.id,
            active=True if switches else None,
            schedule=one.when if moves else None,
        )

    return Step(Change("schedule", name, "changed", "; ".join([*said, *reasons])), write)


def in_words(when: SCHEDULE_TYPES) -> str:
    """Say when a schedule fires.

    Examples
    --------
    >>> in_words(construct_schedule(cron="0 20 * * *", timezone="Europe/Berlin")), in_words(
    ...     construct_schedule(interval=300)
    ... )
    ('0 20 * * * Europe/Berlin', 'every 300 s')
    """
    if isinstance(when, CronSchedule):
        return f"{when.cron} {when.timezone or 'UTC'}"
    if isinstance(when, IntervalSchedule):
        return f"every {when.interval.total_seconds():.0f} s"
    return type(when).__name__


def _plain(when: SCHEDULE_TYPES) -> dict[str, Any]:
    return when.model_dump(mode="json", exclude={"anchor_date"})

"""A lab says when its nights begin; what it changes of schedules on the server stays, and is said."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio
import pytest
import yaml
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.server.schemas.schedules import CronSchedule as Fired

from flows.deploying.night import Night, parse_night
from inception_loop.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]
NIGHT, WATCH = "schedule night/night every-night", "schedule watch/watch every-few-minutes"
BERLIN = ZoneInfo("Europe/Berlin")
USAGE = 2


def of(server, deployment: str) -> dict:
    return {one.slug: one for one in server.read_deployment_by_name(deployment).schedules}


def test_what_a_lab_does_to_schedules_stays(deployed, server, changes, call) -> None:
    assert deployed()[NIGHT] == "created"
    assert not of(server, "night/night")["every-night"].active
    assert deployed("--night", "21:30 Europe/Berlin")[NIGHT] == "changed"
    _check_first_folder(deployed, server)
    _check_own(deployed, server)
    _check_changed_on_the_server(deployed, server, changes)
    _check_words(call("deploy", "--watch", "/data/elsewhere").out.splitlines())
    _check_deleted(deployed, server)


def _check_first_folder(deployed, server) -> None:
    """The hours were said, and stay; the first folder switches on."""
    given = deployed("--watch", "/data/arrivals")
    assert (given[NIGHT], given[WATCH]) == ("changed", "changed")
    night = of(server, "night/night")["every-night"]
    assert (night.schedule.cron, night.schedule.timezone) == ("30 21,23,1,3,5,7 * * *", "Europe/Berlin")
    assert night.active
    assert of(server, "watch/watch")["every-few-minutes"].active
    assert deployed()[NIGHT] == "kept"
    assert deployed.why[NIGHT] == (
        "30 21,23,1,3,5,7 * * * Europe/Berlin on the server, 0 20,22,0,2,4,6 * * * UTC in the files"
    )


def _check_own(deployed, server) -> None:
    """Schedules of the lab's own stay, with a name or without, when their deployment is changed."""
    deployment = server.read_deployment_by_name("night/night")
    own = [
        DeploymentScheduleCreate(schedule=CronSchedule(cron="0 12 * * *"), slug=slug, active=True)
        for slug in ("at-noon", None)
    ]
    server.create_deployment_schedules(deployment.id, own)
    before = of(server, "night/night")
    assert (
        deployed("--pool", "docker", "--watch", "s3://recordings/rig-1")["deployment night/night"]
        == "changed"
    )
    assert deployed("--pool", "local", "--night", "20:00 UTC")[NIGHT] == "changed"
    after = of(server, "night/night")
    assert {slug: one.id for slug, one in after.items()} == {slug: one.id for slug, one in before.items()}
    assert after["at-noon"].schedule.cron == after[None].schedule.cron == "0 12 * * *"
    assert after["every-night"].schedule.cron == "0 20,22,0,2,4,6 * * *"
    assert after["every-night"].active


def _check_changed_on_the_server(deployed, server, changes) -> None:
    watch, night = (server.read_deployment_by_name(name) for name in ("watch/watch", "night/night"))
    slower = of(server, "watch/watch")["every-few-minutes"]
    server.update_deployment_schedule(
        watch.id,
        slower.id,
        schedule=slower.schedule.model_copy(update={"interval": dt.timedelta(minutes=10)}),
    )
    server.update_deployment_schedule(night.id, of(server, "night/night")["every-night"].id, active=False)
    assert changes(deployed()) == {WATCH: "kept"}
    assert deployed.why[WATCH] == "every 600 s on the server, every 300 s in the files"
    given = changes(deployed("--watch", "/data/elsewhere"))
    assert given == {"deployment watch/watch": "changed", WATCH: "kept", NIGHT: "kept"}
    assert deployed.why[NIGHT] == "switched off on the server; switch it on there if it shall run again"
    assert not of(server, "night/night")["every-night"].active
    assert of(server, "watch/watch")["every-few-minutes"].schedule.interval.total_seconds() == 600


def _check_words(lines: list[str]) -> None:
    assert lines[0] == f"     kept  {WATCH}: every 600 s on the server, every 300 s in the files"
    assert lines[1].startswith(f"     kept  {NIGHT}: switched off on the server; ")
    assert lines[2].endswith(" unchanged, 2 kept")


def _check_deleted(deployed, server) -> None:
    night = server.read_deployment_by_name("night/night")
    server.delete_deployment_schedule(night.id, of(server, "night/night")["every-night"].id)
    assert deployed()[NIGHT] == "kept"
    assert deployed.why[NIGHT] == "deleted on the server; --watch makes it anew"
    assert "every-night" not in of(server, "night/night")
    assert deployed("--night", "20:00 UTC")[NIGHT] == "created"
    assert of(server, "night/night")["every-night"].active


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("24:00 UTC", "expected hour, minute and time zone, as '20:00 Europe/Berlin'"),
        ("20:00", "expected hour, minute and time zone"),
        ("20:00 Europe/Berlim", "no time zone; did you mean 'Europe/Berlin'?"),
        ("20:00 ../../etc/passwd", "no time zone"),
    ],
)
def test_a_wrong_hour_is_said_in_one_line_before_anything_is_sent(call, monkeypatch, said, words) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    answer = call("deploy", "--night", said)
    assert (answer.status, answer.out, answer.err.count("\n")) == (USAGE, "", 1)
    assert words in answer.err


def test_a_night_is_tried_again_until_the_morning_at_every_hour_it_may_begin() -> None:
    files = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]
    (cron,) = [one["schedules"][0]["cron"] for one in files if one["name"] == "night"]
    assert Night(20, 0, "UTC").moved(cron) == cron
    for hour in range(24):
        hours = parse_night(f"{hour}:05 UTC").moved(cron).split()[1].split(",")
        assert [int(one) for one in hours] == [(hour + later) % 24 for later in range(0, 12, 2)]
    with pytest.raises(ConfigurationError, match="expected its hours one by one"):
        Night(20, 0, "UTC").moved("0 */2 * * *")


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (dt.datetime(2026, 10, 24, 12, tzinfo=dt.UTC), (20, 22, 0, 2, 4, 6, 20)),
        (dt.datetime(2027, 3, 27, 12, tzinfo=dt.UTC), (20, 22, 0, None, 4, 6, 20)),
    ],
)
def test_hours_keep_to_the_clock_when_it_is_changed(day, hours) -> None:
    """The hour that comes twice fires once; the one that is left out fires as well, an hour off."""
    fired = Fired(cron="0 20,22,0,2,4,6 * * *", timezone="Europe/Berlin")
    dates = [one.astimezone(BERLIN) for one in anyio.run(lambda: fired.get_dates(n=len(hours), start=day))]
    for date, hour in zip(dates, hours, strict=True):
        assert date.hour == hour or (hour is None and date.hour in (1, 3))

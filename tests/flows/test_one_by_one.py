"""What fails in a run stops nothing else, and is told once: runs of a schedule remember, persons ask anew."""

from __future__ import annotations

import uuid

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from flows import _one_by_one
from flows._one_by_one import DAY_S, OneByOne
from flows.telling.runs import by_itself, watched
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError, DataError, StoreError

DARK = DataError("too dark")


class Runs:
    """Runs of one flow, one after the other, over a store with a clock of its own."""

    def __init__(self, monkeypatch) -> None:
        self.store, self.now, self.tried = open_store(f"memory://{uuid.uuid4().hex}"), 1e9, []
        self.store.backend.now = lambda: self.now
        self._patch = monkeypatch

    def run(self, *, asked=False, **faults: Exception | None) -> OneByOne:
        """Do what is named, each failing as given."""
        self._patch.setattr(_one_by_one, "by_itself", lambda: not asked)
        each, self.tried = OneByOne("night", self.store), []
        for name, fault in faults.items():
            each(name, lambda name=name, fault=fault: self._do(name, fault), made_of=self.made_of)
        return each

    made_of: object = None

    def _do(self, name: str, fault: Exception | None) -> None:
        self.tried.append(name)
        if fault is not None:
            raise fault


@pytest.fixture
def runs(monkeypatch) -> Runs:
    return Runs(monkeypatch)


def test_one_that_fails_stops_no_other_and_all_are_named(runs) -> None:
    each = runs.run(a=DARK, b=None, c=ZeroDivisionError("by 0"))
    assert runs.tried == ["a", "b", "c"]
    with pytest.raises(DataError) as raised:
        each.end(None)
    assert str(raised.value) == (
        "a: too dark; c: ZeroDivisionError: by 0; everything else is done; mend it and run night again"
    )


def test_what_its_data_are_to_blame_for_waits_for_other_data(runs) -> None:
    runs.made_of = ["parameters", "recording"]
    assert runs.run(a=DARK).news
    runs.now += 10 * DAY_S
    again = runs.run(a=None)
    assert (runs.tried, again.quiet) == ([], True)
    assert again.failed == {"a": "passed over, since nothing has changed: too dark"}
    runs.made_of = ["parameters", "another recording"]
    assert runs.run(a=DARK).news  # tried, and told
    assert runs.tried == ["a"]
    assert runs.run(a=None, asked=True).over == ["a"]  # a person tries it whatever was told
    assert runs.run(a=None).quiet
    assert runs.tried == ["a"]


@pytest.mark.parametrize("fault", [StoreError("full"), ConfigurationError("no device"), KeyError("bug")])
def test_what_may_pass_is_tried_again_and_told_once_a_day_or_when_it_changes(runs, fault) -> None:
    runs.made_of = ["the same"]
    told, other = [], StoreError("something else")
    for hours, raised in ((0, fault), (2, fault), (2, other), (0, None), (2, fault), (23, fault)):
        runs.now += hours * 3600
        told.append(bool(runs.run(a=raised).news))
    assert told == [True, False, True, False, True, False]
    runs.now += 2 * 3600
    assert runs.run(a=fault).news
    assert runs.run(a=fault, asked=True).news  # a person hears of it always


def test_a_run_that_passes_something_over_says_so_in_its_state(runs) -> None:
    runs.made_of = ["the same"]
    with pytest.raises(DataError, match="a: too dark; b: no device; a look: 1 quarantined; everything else"):
        runs.run(a=DARK, b=ConfigurationError("no device")).end(5, ["a look: 1 quarantined"])
    each = runs.run(a=DARK, b=ConfigurationError("no device"))

    @flow
    def ends() -> int:
        return each.end(5, ["7 found"])

    ended = ends(return_state=True)
    assert (ended.is_completed(), ended.name, ends()) == (True, "Passed over", 5)
    assert ended.message == "7 found; a: passed over, since nothing has changed: too dark; b: no device"
    assert runs.run(b=None, asked=True).end(5) == 5


def test_a_store_that_remembers_nothing_is_told_of_every_time(runs, monkeypatch) -> None:
    def gone(*_):
        raise StoreError("gone")

    monkeypatch.setattr(runs.store.backend, "replace", gone)
    assert runs.run(a=DARK).news
    monkeypatch.setattr(runs.store.backend, "read", gone)
    assert runs.run(a=DARK, b=None).news
    assert runs.tried == ["a", "b"]


class Nothing(Config):
    """No parameters."""


@flow(name="inner", **watched(lambda p: "inner"))
def inner(parameters: Nothing) -> bool:
    return by_itself()


@flow(name="outer", **watched(lambda p: "outer"))
def outer(parameters: Nothing) -> tuple[bool, bool]:
    return by_itself(), inner(parameters)


def test_a_run_knows_whether_a_person_started_it_and_so_do_its_parts(
    prefect_api, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_STORE", tmp_path.as_uri())
    assert outer(Nothing()) == (False, False)
    headers = {"Prefect-Automation-ID": str(uuid.uuid4()), "Prefect-Automation-Name": "bm8="}
    with get_client(sync_client=True) as client:
        asked = {"flow_id": str(client.create_flow_from_name("outer")), "state": {"type": "PENDING"}}
        made = httpx.post(f"{prefect_api}/flow_runs/", json=asked, headers=headers).json()
        run = client.read_flow_run(made["id"])
    assert run_flow(outer, flow_run=run, parameters={"parameters": Nothing()}) == (True, True)

"""Deployed runs on a real server and worker, killed with or without the worker, end as if undisturbed."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

pytestmark = [
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc"),
]
ROOT = Path(__file__).resolve().parents[2]
LOOP = "inception-loop"
FLOW, WITH_WORKER, SERVER = "flow", "worker and flow", "server"
CAMPAIGNS = {
    "short": {"one of each": {FLOW: 1, WITH_WORKER: 1, SERVER: 1}},
    "long": {"20 kills": {FLOW: 8, WITH_WORKER: 12}, "5 restarts of the server": {SERVER: 5}},
}
CRASHED_WITHIN_S = 120.0
PATIENCE_S = 400.0
SHORTEST_WITHIN_S = 10


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a campaign."""
    if "faults" in metafunc.fixturenames:
        chosen = CAMPAIGNS[metafunc.config.getoption("--campaign")]
        metafunc.parametrize("faults", chosen.values(), ids=chosen)


@pytest.fixture(scope="module")
def server(serving: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server that everything is deployed to."""
    server = serving.Server(tmp_path_factory.mktemp("served") / "server")
    try:
        server.start()
        serving.deploy(server)
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def api(server: Any, serving: ModuleType) -> Any:
    return serving.Api(server.url)


@pytest.fixture
def worker(server: Any, serving: ModuleType, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Start workers on one store; whatever still runs of them at the end of the test is ended."""
    workers: list[Any] = []

    def start() -> Any:
        workers.append(serving.Worker(tmp_path, server, f"file://{tmp_path}/store"))
        return workers[-1]

    yield start
    for one in workers:
        one.kill_all()


@pytest.fixture
def loop(api: Any, tiny: ModuleType) -> Callable[[], str]:
    """Ask for a run of the tiny loop."""
    parameters = {"parameters": tiny.tiny_parameters().model_dump(mode="json")}
    return lambda: api.start(LOOP, parameters)


@pytest.fixture
def unlimited(api: Any) -> Iterator[None]:
    """Let killed runs hold up nobody: that their slots are free in time is another test's matter."""
    api.limit(LOOP, None)
    yield
    api.limit(LOOP, 1)


def until(reached: Callable[[], Any], what: str) -> Any:
    """Wait for something, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := reached()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s in vain for {what}"
        time.sleep(0.1)
    return found


def ended(api: Any, run: str) -> str:
    """Return the type of a run's final state, empty while it goes on."""
    kind = api.state(run)["type"]
    return kind if kind in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else ""


def seconds_after(moment: float, state: dict[str, Any]) -> float:
    return datetime.fromisoformat(state["timestamp"]).timestamp() - moment


def test_a_run_without_a_sign_of_life_is_crashed_and_its_slot_is_free(
    api: Any, told: Callable[[str], None]
) -> None:
    (spec,) = [
        one
        for one in yaml.safe_load((ROOT / "deployments" / "automations.yaml").read_text())["automations"]
        if one["name"] == "crashed-without-a-sign-of-life"
    ]
    assert spec["trigger"]["within"] <= CRASHED_WITHIN_S - 10  # and the server looks every 5 s
    deployed = {one["name"]: one for one in api.ask("POST", "/automations/filter", {})}
    assert deployed[spec["name"]]["enabled"]

    shorter = {**spec["trigger"], "within": SHORTEST_WITHIN_S}
    made = api.ask("POST", "/automations/", {**spec, "name": "shortened", "trigger": shorter})["id"]
    silent, waiting, done = (api.start(LOOP, {}) for _ in range(3))
    lively = api.start("present", {})
    for run in (done, silent):
        assert api.set_state(run, "PENDING") == "ACCEPT"
        assert api.set_state(run, "RUNNING") == "ACCEPT"
        api.beat(run)
        if run == done:
            assert api.set_state(run, "COMPLETED") == "ACCEPT"
    api.set_state(lively, "RUNNING")
    assert api.set_state(waiting, "PENDING") == "REJECT"  # its slot is taken
    silent_since = time.time()
    deadline = time.monotonic() + PATIENCE_S
    while not ended(api, silent):
        assert time.monotonic() < deadline
        api.beat(lively)
        time.sleep(1)
    state = api.state(silent)
    told(f"{state['name']} {seconds_after(silent_since, state):.1f} s after its last sign of life")
    assert (state["type"], state["name"]) == ("CRASHED", "Crashed")
    assert "sign of life" in state["message"]
    assert api.slots(LOOP) == 0
    time.sleep(SHORTEST_WITHIN_S / 4)
    assert (api.state(lively)["type"], api.state(done)["type"]) == ("RUNNING", "COMPLETED")
    api.ask("DELETE", f"/automations/{made}")
    for run in (waiting, lively):
        api.ask("DELETE", f"/flow_runs/{run}")


def test_after_a_kill_the_slot_is_free_within_two_minutes(
    request,
    api: Any,
    worker: Callable[[], Any],
    loop: Callable[[], str],
    tmp_path: Path,
    told: Callable[[str], None],
) -> None:
    with_worker = request.config.getoption("--campaign") == "long"
    at_work = worker()
    killed = loop()
    until((tmp_path / "store").exists, "its first write")
    assert (api.state(killed)["type"], api.slots(LOOP)) == ("RUNNING", 1)
    following = api.start(LOOP, {})
    assert api.set_state(following, "PENDING") == "REJECT"
    killed_at = time.time()
    if with_worker:
        at_work.kill_all()
    else:
        at_work.kill_flows()
    until(lambda: api.slots(LOOP) == 0, "a free slot")
    free, crashed = time.time() - killed_at, api.state(killed)
    how = "with its worker" if with_worker else "alone"
    told(
        f"killed {how}: {crashed['name']} after {seconds_after(killed_at, crashed):.1f} s, "
        f"its slot is free after {free:.1f} s"
    )
    assert crashed["type"] == "CRASHED"
    assert free < CRASHED_WITHIN_S
    at_work.kill_all()
    if with_worker:
        worker()
        until(lambda: api.state(following)["type"] not in {"SCHEDULED", "PENDING"}, "the following run")
    else:
        assert api.set_state(following, "PENDING") == "ACCEPT"
    api.ask("DELETE", f"/flow_runs/{following}")


@pytest.mark.usefixtures("unlimited")
def test_whatever_is_killed_a_loop_ends_as_if_undisturbed(
    faults: dict[str, int],
    request,
    server: Any,
    api: Any,
    worker: Callable[[], Any],
    loop: Callable[[], str],
    tmp_path: Path,
    tiny: ModuleType,
    tiny_run: tuple[str, Any],
    books: ModuleType,
    told: Callable[[str], None],
) -> None:
    seed, began = sum(faults.values()), time.monotonic()
    rng, expected, uri = random.Random(seed), tiny.contents(tiny_run[0]), f"file://{tmp_path}/store"
    order = [fault for fault, times in faults.items() for _ in range(times)]
    rng.shuffle(order)
    moments = sorted(rng.sample(range(len(expected) - 20), seed))  # at the end it might be too quick
    book, at_work = books.Books(uri), worker()
    run, killed, happened, ends = loop(), {}, [], []

    def restarted() -> str:
        """Ask for a run in place of one that the server's restart has ended, one a restart at most."""
        ends.append(ended(api, run))
        assert len(ends) <= [fault for fault, _ in happened].count(SERVER), api.state(run)
        book.disturbed()
        return loop()

    def go_on(least: int) -> bool:
        """Wait until so many artifacts stand; False if the run ended before."""
        return until(lambda: len(books.standing(uri)) >= least or ended(api, run), "progress") is True

    for moment, fault in zip(moments, order, strict=True):
        least = max(moment, len(book.stood) + 1)  # every run comes to something
        while not go_on(least):
            run = restarted()
        time.sleep(rng.random())
        happened.append((fault, len(books.standing(uri))))
        if fault == SERVER:
            book.note()
            server.kill()
            time.sleep(rng.uniform(0.5, 10))
            server.start()
            continue
        at_work.kill_flows() if fault == FLOW else at_work.kill_all()
        killed[run] = (time.time(), fault)
        book.disturbed()
        at_work = at_work if at_work.alive else worker()
        run = loop()
    while until(lambda run=run: ended(api, run), "the end") != "COMPLETED":
        run = restarted()
    lasted = time.monotonic() - began
    assert tiny.contents(uri) == expected
    again = book.closed()
    waits = crashed(api, killed, everything=request.config.getoption("--campaign") == "long")
    told(
        f"{happened} of {len(expected)}; Crashed after {waits} s; ended by a restart: {ends}; "
        f"begun again: {sum(again.values())}; {lasted:.0f} s"
    )


def crashed(api: Any, killed: dict[str, Any], *, everything: bool) -> list[float]:
    """Check that killed runs are Crashed within two minutes, with their stages; return after how many s.

    Those that were killed with their worker are waited for only if ``everything`` is to be seen.
    """
    waits = []
    for run, (at, fault) in killed.items():
        if fault == FLOW or everything:
            until(lambda run=run: ended(api, run), "the end of a killed run")
            state = api.state(run)
            assert state["type"] == "CRASHED", state
            waits.append(round(seconds_after(at, state), 1))
    assert all(wait < CRASHED_WITHIN_S for wait in waits)
    if everything:
        until(lambda: not api.unfinished(), "the end of stages of killed runs")
    return waits

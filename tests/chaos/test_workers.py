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
LIMITED = "conclude"
"""A deployment with a limit of its own; the loop has that of its queue."""
FLOW, WITH_WORKER, PENDING = "flow", "worker and flow", "worker, the next run pending"
SERVER, AWAY = "server", "server, for minutes"
CAMPAIGNS = {
    "short": {"one of each": {FLOW: 1, WITH_WORKER: 1, SERVER: 1}},
    "long": {
        "20 kills": {FLOW: 8, WITH_WORKER: 12},
        "killed before it ran": {PENDING: 1},
        "5 restarts of the server": {SERVER: 5},
        "minutes without the server": {AWAY: 2},
    },
}
CRASHED_WITHIN_S = 120.0
NEVER_BEGUN_WITHIN_S = 660.0
AWAY_S = (95.0, 180.0)
"""Longer than a run may be silent; where Prefect still reckons with the last sign of life, and where not."""
POLL_S = 0.25
"""Who asks the server more often slows down what is waited for."""
PATIENCE_S = NEVER_BEGUN_WITHIN_S + 600.0
"""A run that waits for the place of one that never began has then to come to its end."""
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


def until(reached: Callable[[], Any], what: str) -> Any:
    """Wait for something, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := reached()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s in vain for {what}"
        time.sleep(POLL_S)
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
    silent, waiting, done = (api.start(LIMITED, {}) for _ in range(3))
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
    assert api.slots(LIMITED) == 0
    time.sleep(SHORTEST_WITHIN_S / 4)
    assert (api.state(lively)["type"], api.state(done)["type"]) == ("RUNNING", "COMPLETED")
    api.ask("DELETE", f"/automations/{made}")
    for run in (waiting, lively):
        api.ask("DELETE", f"/flow_runs/{run}")


def test_after_a_kill_the_slot_is_free_within_two_minutes(
    request,
    api: Any,
    serving: ModuleType,
    worker: Callable[[], Any],
    loop: Callable[[], str],
    tmp_path: Path,
    told: Callable[[str], None],
) -> None:
    with_worker = request.config.getoption("--campaign") == "long"
    at_work = worker()
    killed = loop()
    until((tmp_path / "store").exists, "its first write")
    following = api.start(LOOP, {})
    time.sleep(5 * serving.QUERY_S)
    assert (api.state(killed)["type"], api.state(following)["type"]) == ("RUNNING", "SCHEDULED")
    killed_at = time.time()
    if with_worker:
        at_work.kill_all()
        worker()
    else:
        at_work.kill_flows()
    until(lambda: api.state(following)["type"] != "SCHEDULED", "the following run")
    free, crashed = time.time() - killed_at, api.state(killed)
    how = "with its worker" if with_worker else "alone"
    told(
        f"killed {how}: {crashed['name']} after {seconds_after(killed_at, crashed):.1f} s, "
        f"the next is taken after {free:.1f} s"
    )
    assert crashed["type"] == "CRASHED"
    assert free < CRASHED_WITHIN_S
    api.ask("DELETE", f"/flow_runs/{following}")


def test_a_restart_of_the_server_ends_no_run_and_gives_no_slot_away(
    server: Any,
    api: Any,
    worker: Callable[[], Any],
    tmp_path: Path,
    told: Callable[[str], None],
) -> None:
    """A run with a limit of its own renews its slot afterwards, as often as it has to."""
    in_turn = {"concurrency_limit": 1, "concurrency_options": {"collision_strategy": "ENQUEUE"}}
    api.deploy("holding", "holding.holding", **in_turn)
    worker()
    held, waiting = (api.start("holding", {"folder": str(tmp_path)}) for _ in range(2))
    until((tmp_path / "began").exists, "its beginning")
    if api.state(held)["name"] != "Running":
        held, waiting = waiting, held
    (before,) = server.leases().values()
    server.kill()
    server.start()
    for _ in range(2):
        (before,) = until(lambda before=before: renewed(api, server, held, before), "the renewal of its slot")
    assert (api.state(held)["name"], api.slots("holding")) == ("Running", 1)
    assert api.state(waiting)["name"] == "AwaitingConcurrencySlot"
    told("a slot was renewed twice after a restart, and not given to the run that waits for it")
    api.ask("DELETE", f"/flow_runs/{waiting}")
    (tmp_path / "end").touch()
    until(lambda: ended(api, held), "its end")
    assert api.states(held)[-2:] == ["Running", "Completed"]
    assert api.slots("holding") == 0


def renewed(api: Any, server: Any, run: str, before: str) -> list[str]:
    """Return until when the one slot is held, if that is later than before; it has to be a living run's."""
    assert not ended(api, run), api.state(run)
    return [end for end in server.leases().values() if end > before]


class Disturbed:
    """A run of the loop that is disturbed, and asked for again where it was killed; limits are as deployed.

    Parameters
    ----------
    patient
        Wait until the server marks what was killed with its worker; otherwise do it in its place.
    """

    def __init__(self, server: Any, api: Any, worker: Any, loop: Any, book: Any, *, patient: bool) -> None:
        self.server, self.api, self.worker, self.loop, self.book = server, api, worker, loop, book
        self.patient = patient
        self.at_work, self.run = worker(), loop()
        self.killed: dict[str, tuple[float, str]] = {}

    def disturb(self, fault: str, away_s: float) -> None:
        """Kill something, and start it again where it does not start by itself."""
        if fault in (SERVER, AWAY):
            self.book.note()
            self.server.kill()
            time.sleep(away_s)
            self.server.start()
            return
        self.at_work.kill_flows() if fault == FLOW else self.at_work.kill_all()
        self._killed(fault)
        if fault == PENDING:
            self.at_work = self.worker()
            until(lambda: self.api.state(self.run)["type"] == "PENDING", "a run that is taken up")
            self.at_work.kill_all()
            assert self.api.state(self.run)["type"] == "PENDING"
            self._killed(fault)
        self.at_work = self.at_work if self.at_work.alive else self.worker()

    def _killed(self, fault: str) -> None:
        self.killed[self.run] = (time.time(), fault)
        self.book.disturbed()
        if fault != FLOW and not self.patient:
            assert self.api.set_state(self.run, "CRASHED") == "ACCEPT"
        self.run = self.loop()

    def over(self) -> str:
        """Return how the run ended, empty while it goes on: also one that the server takes for dead."""
        kind = ended(self.api, self.run)
        return "" if kind == "CRASHED" and self.at_work.flow_processes else kind

    def crashed(self) -> list[float]:
        """Check that what was killed is Crashed in time, with its stages; return after how many s."""
        waits = []
        for run, (at, fault) in self.killed.items():
            until(lambda run=run: ended(self.api, run), "the end of a killed run")
            state = self.api.state(run)
            assert state["type"] == "CRASHED", state
            waits.append(round(seconds_after(at, state), 1))
            assert waits[-1] < (NEVER_BEGUN_WITHIN_S if fault == PENDING else CRASHED_WITHIN_S)
        if self.patient:
            until(lambda: not self.api.unfinished(), "the end of stages of killed runs")
        return waits


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
    """Where the server was killed alone no run ends: it waits, and goes on."""
    seed, began = sum(faults.values()), time.monotonic()
    rng, expected, uri = random.Random(seed), tiny.contents(tiny_run[0]), f"file://{tmp_path}/store"
    order = [fault for fault, times in faults.items() for _ in range(times)]
    rng.shuffle(order)
    moments = sorted(rng.sample(range(len(expected) - 20), seed))  # at the end it might be too quick
    book, long_away = books.Books(uri), iter(AWAY_S)
    patient = request.config.getoption("--campaign") == "long"
    disturbed = Disturbed(server, api, worker, loop, book, patient=patient)
    happened = []
    for moment, fault in zip(moments, order, strict=True):
        least = max(moment, len(book.stood) + 1)  # every run comes to something
        until(lambda least=least: books.count(uri) >= least or disturbed.over(), "progress")
        assert not disturbed.over(), api.state(disturbed.run)
        time.sleep(rng.random())
        happened.append((fault, books.count(uri)))
        disturbed.disturb(fault, next(long_away) if fault == AWAY else rng.uniform(0.5, 10))
    assert until(disturbed.over, "the end") == "COMPLETED", api.state(disturbed.run)
    lasted = time.monotonic() - began
    assert tiny.contents(uri) == expected
    again = book.closed()
    waits = disturbed.crashed()
    told(
        f"{happened} of {len(expected)}; Crashed after {waits} s; states of the last run: "
        f"{api.states(disturbed.run)}; begun again: {sum(again.values())}; {lasted:.0f} s"
    )

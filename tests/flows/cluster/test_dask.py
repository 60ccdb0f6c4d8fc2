"""Steps on Dask: a worker that is lost costs what it was computing; nothing of a run outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows._stage import StageResult
from flows.cluster import workers
from flows.cluster.connection import own
from flows.mei import mei
from flows.observing import Event, observed
from flows.train import train
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.provenance import versions
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.artifacts.transfer import copy
from inception_loop.artifacts.upkeep import verify
from inception_loop.errors import ConfigurationError, DataError, RefusedUnitsError
from inception_loop.parameters import MeiParameters, TrainParameters

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc"),
]
HERE = Path(__file__).parent
PATIENCE_S = 240.0
TTL_S = "7200"  # a lease that had to time out would outlast every test


def wait_until(reached: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := reached()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)
    return found


def held(store: Path, kind: str) -> dict[str, int]:
    """Return the artifacts of a kind on which somebody works for the first time, with the pid of who does."""
    owners = store.glob(f"_leases/{kind}/*/00000001.owner")
    return {
        path.parent.name: json.loads(path.read_bytes())["process"]["pid"]
        for path in owners
        if not (path.parent / "00000001.done").exists()
    }


def attempts(store: Path) -> set[str]:
    """Return the attempt folders of a store on disk."""
    payloads = (path for path in store.glob("[!_]*/**/*") if path.is_file() and path.name != "manifest.json")
    return {str(path.parent.relative_to(store)) for path in payloads}


def named(store: Path) -> set[str]:
    """Return the attempt folders that a manifest names."""
    return {
        str(path.parent.relative_to(store) / json.loads(path.read_text())["attempt"])
        for path in store.glob("[!_]*/**/manifest.json")
    }


class Killer:
    """Kills, as soon as it holds an artifact of a kind for the first time, the worker that does; once."""

    def __init__(self, store: Path, kind: str) -> None:
        self.victims: dict[str, int] = {}
        self._store, self._kind = store, kind
        self._thread = threading.Thread(target=self._kill, daemon=True)

    def _kill(self) -> None:
        self.victims = wait_until(lambda: held(self._store, self._kind), f"a {self._kind} is computed")
        os.kill(next(iter(self.victims.values())), signal.SIGKILL)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(PATIENCE_S)

    @property
    def interrupted(self) -> str:
        """Digest of what the victim was computing."""
        return next(iter(self.victims))


@pytest.fixture(scope="module")
def steps() -> Iterator[ModuleType]:
    """The flows of tests, where workers find them too: they search what this process searches."""
    sys.path.insert(0, str(HERE))
    try:
        import counting_steps

        yield counting_steps
    finally:
        sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def environment(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store, named to this process and all that it starts; its folder."""
    store = tmp_path_factory.mktemp("dask") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTION_LOOP_STORE", f"file://{store}")
        patch.setenv("INCEPTION_LOOP_LEASE_TTL_S", TTL_S)
        yield store


@pytest.fixture(scope="module")
def cluster(environment: Path, steps: ModuleType) -> Iterator[Path]:
    """Two workers for all tests of this module, which start with the first step; the store's folder."""
    with own.used():
        yield environment


@pytest.fixture
def local(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, for the runs of one test."""
    monkeypatch.setenv("INCEPTION_LOOP_CLUSTER", "local:2")
    return cluster


@pytest.fixture
def events() -> Iterator[list[Event]]:
    seen: list[Event] = []
    with observed(seen.append):
        yield seen


def undisturbed(result: StageResult, stages: dict[str, StageResult], name: str) -> None:
    """Check that a stage counts what it counted undisturbed; one just finished by a victim may be a hit."""
    before = stages[name]
    assert {kind: [ref.digest for ref in refs] for kind, refs in result.refs.items()} == {
        kind: [ref.digest for ref in refs] for kind, refs in before.refs.items()
    }
    assert result.computed + result.cached == before.computed + before.cached
    assert result.cached - before.cached in {0, 1}


def run(flow: Any, parameters: Any, store: Path, kind: str) -> tuple[StageResult, str]:
    with Killer(store, kind) as killer:
        state = flow(parameters, return_state=True)
    assert state.is_completed(), state
    return state.result(), killer.interrupted


@pytest.mark.acceptance
def test_a_worker_killed_in_training_and_one_killed_in_images_cost_what_they_were_computing(
    local: Path, tiny: ModuleType, tiny_run: tuple[str, Any], events: list[Event]
) -> None:
    calm, p, stages = open_store(tiny_run[0]), tiny.tiny_parameters(), tiny_run[1].stages
    store = open_store(f"file://{local}")
    expected = tiny.contents(tiny_run[0])
    (dataset,) = copied(calm, store, stages["dataset"].refs["static_multi_dataset"])
    asked = TrainParameters(group_id=p.dataset.group_id, dataset=dataset, grid=p.grid)
    trained, model = run(train, asked, local, "model")
    undisturbed(trained, stages, "train")
    overall = [event for event in events if event.what == "overall"]
    assert (overall[-1].text, overall[-1].done) == ("4 of 4 trained", 4)
    chosen = {
        kind: copied(calm, store, stages["select"].refs[kind])[0]
        for kind in ("target_model", "corrected_high_unit_selection", "truth_panel")
    }
    wanted = MeiParameters(
        group_id=p.dataset.group_id,
        dataset=dataset,
        target_model=chosen["target_model"],
        selection=chosen["corrected_high_unit_selection"],
        panel=chosen["truth_panel"],
        images=p.images,
    )
    made, image = run(mei, wanted, local, "mei")
    undisturbed(made, stages, "mei")

    found = {
        key: sums
        for key, sums in tiny.contents(f"file://{local}").items()
        if key[0] in trained.refs | made.refs
    }
    assert found == {key: sums for key, sums in expected.items() if key in found}
    assert {ref.digest for stage in (trained, made) for refs in stage.refs.values() for ref in refs} <= {
        digest for _, digest in found
    }
    generations = {
        listed.ref.digest: store.manifest(listed.ref).lease_generation
        for listed in artifacts(store)
        if listed.ref.kind in trained.refs | made.refs
    }
    assert {digest for digest, number in generations.items() if number > 1} == {model, image}
    assert len(attempts(local) - named(local)) <= 2
    assert verify(store).sound
    lost = [event.text for event in events if event.stage == "cluster"]
    assert len(lost) == 2
    assert all(text.endswith("was lost; what it computed starts again") for text in lost)
    ended = [event.name for event in events if event.what == "finished"]
    assert len(ended) == len(set(ended)) == trained.computed + trained.cached + made.computed + made.cached


def copied(source: ArtifactStore, target: ArtifactStore, refs: list[Any]) -> list[Any]:
    return [copy(source, target, ref)[-1].ref for ref in refs]


def test_what_a_lost_worker_had_finished_comes_back_as_a_hit_and_counts_as_computed(
    local: Path, steps: ModuleType, events: list[Event], tmp_path: Path
) -> None:
    store = open_store(f"file://{local}")

    def lose(event: Event) -> None:
        if (event.name, event.what) == ("number 1", "finished"):
            threading.Thread(target=kill).start()

    def kill() -> None:
        time.sleep(0.5)  # the run knows by then how the step ended
        one = store.ref(steps.NUMBER, steps.NumberConfig(value=1))
        os.kill(store.manifest(one).process.pid, signal.SIGKILL)
        (tmp_path / "killed").touch()

    with observed(lose):
        state = steps.count_on(1, 2, mark=str(tmp_path / "killed"), return_state=True)
    result = state.result()
    assert (result.computed, result.cached) == (2, 0)
    one, two = result.refs["counting_number"]
    assert store.inputs(two) == {"before": [one]}
    assert [store.manifest(ref).lease_generation for ref in (one, two)] == [1, 1]
    assert [event.name for event in events if event.what == "finished"] == ["number 1", "number 2"]

    ran = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))

    def told() -> bool:
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=ran)
        return {one.name: one.state_name for one in runs} == {"number 1": "Cached", "number 2": "Completed"}

    wait_until(told, "Prefect knows that it was a hit")


def test_the_line_of_a_failed_step_comes_out_and_all_refused_units_are_named(
    local: Path, steps: ModuleType, events: list[Event]
) -> None:
    state = steps.count(11, -1, 12, return_state=True)
    assert state.is_failed()
    with pytest.raises(DataError, match=r"^number -1; expected none below 0; raise it$"):
        state.result()
    assert [event.name for event in events if event.what == "failed"] == ["number -1"]
    with pytest.raises(RefusedUnitsError, match=r"^dark: a/10, a/20; expected light$") as refused:
        steps.count_apart(-10, 13, -20)
    assert refused.value.units == ("a/10", "a/20")
    assert "number 13" in {event.name for event in events if event.what == "finished"}
    assert {(e.done, e.total, e.text) for e in events if e.what == "progress"} == {(1.0, 2.0, "half")}


def test_a_step_ends_at_its_next_sign_of_progress_when_its_run_has_ended(
    local: Path, steps: ModuleType, tmp_path: Path
) -> None:
    mark, store = tmp_path / "slow", open_store(f"file://{local}")

    def begun(event: Event) -> None:
        if event.name == "number 1001":
            mark.touch()

    with observed(begun), pytest.raises(DataError, match="number -2; expected none below 0"):
        steps.count_beside(1001, -2, mark=str(mark))
    slow = store.ref(steps.NUMBER, steps.NumberConfig(value=1001)).digest
    wait_until(lambda: slow not in held(local, "counting_number"), "nobody works on it")
    assert not store.exists(store.ref(steps.NUMBER, steps.NumberConfig(value=1001)))
    again = steps.count(14)  # the worker takes other steps
    assert (again.computed, again.cached) == (1, 0)


@pytest.fixture
def others_cluster(
    environment: Path, steps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, int]]:
    """A scheduler with two workers, one of which has a GPU: its address, and the pid of that worker."""
    monkeypatch.setattr("inception_loop.artifacts.provenance._git", lambda *words: "")  # somebody may commit
    versions.cache_clear()
    known = tmp_path / "scheduler.json"
    shared = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1", "PATH": str(tmp_path)}
    shared.pop("INCEPTION_LOOP_CLUSTER", None)
    worker = ("dask_worker", "--nthreads", "1", "--no-nanny", "--memory-limit", "0")
    commands = [
        ("dask_scheduler", "--host", "127.0.0.1", "--port", "0"),
        (*worker, "--resources", "GPU=1"),
        worker,
    ]
    places = ("--scheduler-file", str(known), "--no-dashboard")
    processes = []
    try:
        for name, *options in commands:
            with (tmp_path / f"{len(processes)}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", f"distributed.cli.{name}", *options, *places],
                        env=shared,
                        stdout=log,
                        stderr=log,
                        cwd=tmp_path,
                    )
                )
            wait_until(known.exists, "the scheduler runs")
        for number in (1, 2):
            log = tmp_path / f"{number}.log"
            wait_until(lambda log=log: "Registered to" in log.read_text(), "the worker runs")
        yield json.loads(known.read_text())["address"], processes[1].pid
    finally:
        for process in processes:
            process.kill()
            process.wait()
        versions.cache_clear()


def test_a_scheduler_by_its_address_gives_gpus_to_whom_needs_them_and_workers_unlike_are_refused(
    others_cluster: tuple[str, int],
    environment: Path,
    steps: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    address, gpu = others_cluster
    monkeypatch.setenv("INCEPTION_LOOP_CLUSTER", address)
    result = steps.count_on_device(101, 102, 103)
    assert result.computed == 4
    store = open_store(f"file://{environment}")
    assert {store.manifest(ref).process.pid for ref in result.refs["counting_number"]} == {gpu}
    assert not list((environment / "_probe").glob("*"))

    mine = workers.facts()
    monkeypatch.setattr(workers, "facts", lambda: {**mine, "torch": "1.0"})
    with pytest.raises(
        ConfigurationError, match=rf"^worker tcp://\S+ of {address} has torch .*; expected 1.0"
    ):
        steps.count(104)
    monkeypatch.undo()
    monkeypatch.setenv("INCEPTION_LOOP_CLUSTER", address)
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/other")
    with pytest.raises(
        ConfigurationError, match=rf"works in the store file://{environment}; expected file://"
    ):
        steps.count(105)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_run_that_is_killed_or_interrupted(
    environment: Path, steps: ModuleType, prefect_api: str, tmp_path: Path, end: int
) -> None:
    shared = {**os.environ, "INCEPTION_LOOP_CLUSTER": "local:2", "OMP_NUM_THREADS": "1"}
    values = ("1100", "1101") if end == signal.SIGKILL else ("1200", "1201")
    (tmp_path / "mark").touch()
    before = len(held(environment, "counting_number"))
    with (tmp_path / "log").open("wb") as log:
        run = subprocess.Popen(
            [sys.executable, str(HERE / "dask_run.py"), str(tmp_path / "mark"), *values],
            env=shared,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a terminal sends Ctrl-C to all processes of the session
        )
    try:
        wait_until(
            lambda: len(held(environment, "counting_number")) == before + 2 or run.poll() is not None,
            "both run",
        )
        assert run.poll() is None, (tmp_path / "log").read_text()
        family = of_session(run.pid)
        assert len(family) >= 3
        if end == signal.SIGINT:
            os.killpg(run.pid, end)
        else:
            run.send_signal(end)
        status = run.wait(PATIENCE_S)
        wait_until(lambda: not of_session(run.pid), "all have ended")
    finally:
        for pid in of_session(run.pid):
            os.kill(pid, signal.SIGKILL)
    if end == signal.SIGINT:
        said = (tmp_path / "log").read_text()
        assert status == 130
        assert "Traceback" not in said
        assert "interrupted; the same command again goes on from here\n" in said


def of_session(session: int) -> list[int]:
    """Return the processes of a session that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found

"""``make stack``: what it starts works together, keeps its data and gives no key away."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.errors import StoreError

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(1800),
    pytest.mark.minio,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc"),
]
ROOT = Path(__file__).resolve().parents[2]
READY_S, RUN_S, END_S = 600.0, 600.0, 60.0  # on a machine that does much else
DAY = {
    "scan": {"animal_id": 1, "session": 1, "scan_idx": 1},
    "animal": {"type": "simulated", "n_units": 10},
    "session": {"n_train": 20, "n_repeated": 2, "repeats": 2},
}


class Running:
    """One start of the stack in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "said"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "AWS_"))}
        with self.log.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "infra" / "stack.py"), "--home", str(home)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment,
            )
        until(lambda: "Ctrl-C ends all" in self.text() or self.process.poll() is not None, READY_S)
        logs = "".join(path.read_text(errors="replace")[-2000:] for path in sorted(home.glob("*.log")))
        assert "Ctrl-C ends all" in self.text(), self.text() + logs  # it runs
        self.processes = descendants(self.process.pid)

    def text(self) -> str:
        return self.log.read_text()

    def environment(self, key: str) -> dict[str, str]:
        """Return what a shell has that sourced the file of a key."""
        lines = (self.home / f"{key}.env").read_text().splitlines()
        return dict(line.removeprefix("export ").split("=", 1) for line in lines)

    def end(self, number: signal.Signals) -> None:
        """Signal the stack, and see that nothing of it is left."""
        self.processes |= descendants(self.process.pid)
        self.process.send_signal(number)
        self.process.wait(END_S)
        until(lambda: not alive(self.processes), END_S)
        assert not alive(self.processes)


def until(reached: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.2)


def status(pid: int) -> tuple[int, str] | None:
    """Return (parent's pid, start) of a process that runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[1]), fields[19])


def descendants(pid: int) -> set[tuple[int, str]]:
    """Return (pid, start) of what a process started, and of what that started."""
    every = {int(path.name): status(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    found: set[int] = {pid}
    while more := {one for one, is_ in every.items() if is_ and is_[0] in found} - found:
        found |= more
    return {(one, is_[1]) for one in found - {pid} if (is_ := every[one])}


def alive(processes: set[tuple[int, str]]) -> set[int]:
    return {pid for pid, start in processes if (status(pid) or (0, ""))[1] == start}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that Postgres, which runs as another user for root, can reach."""
    folder = Path(tempfile.mkdtemp(prefix="stack-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(home: Path) -> Iterator[Callable[[], Running]]:
    started: list[Running] = []

    def begin() -> Running:
        started.append(Running(home))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGTERM)


def of_worker(running: Running) -> dict[str, str]:
    """Return the environment of the worker's process."""
    for pid, _ in running.processes:
        if b"worker\0start" in Path(f"/proc/{pid}/cmdline").read_bytes():
            pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    pytest.fail("no worker runs")


def test_a_stack_runs_a_deployment_keeps_its_data_gives_no_key_away_and_leaves_nothing_behind(
    start, home, monkeypatch
) -> None:
    first = start()
    worker, reader = first.environment("worker"), first.environment("reader")
    wanted = ["prefect", "deployment", "run", "present/present", "--watch"]
    done = subprocess.run(
        [*wanted, "--params", json.dumps({"parameters": {"day": DAY}})],
        env={**os.environ, **worker, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr + (home / "worker.log").read_text()

    for name, value in reader.items():
        monkeypatch.setenv(name, value)
    kinds = {one.ref.kind for one in artifacts(open_store())}
    assert {"recording", "animal_truth"} <= kinds
    with pytest.raises(StoreError, match=r"[Dd]enied|permission"):
        open_store().backend.create("neither/this", b"")

    kept = json.loads((home / "secrets.json").read_text())
    others = [kept["root"][1], kept["reader"][1], kept["rig"][1], kept["postgres"]]
    assert not [name for name in first.environment("rig") if not name.startswith("AWS_")]
    assert kept["worker"][1] in of_worker(first).values()
    assert not [secret for secret in others if secret in str(of_worker(first))]
    assert of_worker(first)["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    for private in {
        "secrets.json",
        "worker.env",
        "reader.env",
        "rig.env",
        *(path.name for path in home.glob("pgpass")),
    }:
        assert stat.S_IMODE((home / private).stat().st_mode) == 0o600
    everything = [*others, kept["worker"][1]]
    logs = "".join(path.read_text(errors="replace") for path in (*home.glob("*.log"), first.log))
    assert not [secret for secret in everything if secret in logs]
    command_lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in alive(first.processes))
    assert not [secret for secret in everything if secret.encode() in command_lines]

    again = subprocess.run(
        [sys.executable, str(ROOT / "infra" / "stack.py"), "--home", str(home)],
        capture_output=True,
        text=True,
    )
    assert again.returncode == 1
    assert again.stderr.startswith("a stack runs already in ")
    first.end(signal.SIGINT)
    assert first.process.returncode == 0, first.text()

    (home / "secrets.json").unlink()  # new keys and a new password of the database
    second = start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", second.environment("reader")["AWS_ENDPOINT_URL"])
    with pytest.raises(StoreError, match=r"credentials|signature|denied|key"):
        open_store().backend.read("any/thing")  # with the old key
    api = second.environment("worker")["PREFECT_API_URL"]
    runs = httpx.post(f"{api}/flow_runs/filter", json={}, timeout=30).json()
    assert [(run["state"]["name"]) for run in runs if run["deployment_id"]] == ["Completed"]
    for name, value in second.environment("reader").items():
        monkeypatch.setenv(name, value)
    assert {one.ref.kind for one in artifacts(open_store())} == kinds
    victim = next(
        pid
        for pid in alive(second.processes)
        if re.search(rb"^(?!.*leash).*minio\0server", Path(f"/proc/{pid}/cmdline").read_bytes(), re.DOTALL)
    )
    os.kill(victim, signal.SIGKILL)
    assert second.process.wait(END_S) == 1
    assert re.search(rf"minio ended with status \S+; all ended; read {home}/minio.log", second.text())
    until(lambda: not alive(second.processes), END_S)
    assert not alive(second.processes)

"""A Prefect server and a process worker as a lab runs them, made to be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from prefect import __version__
from prefect.client.constants import SERVER_API_VERSION

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "infra"))
import stack  # noqa: E402

sys.path.remove(str(ROOT / "infra"))

READY_S = 180.0
POOL = "local"
QUERY_S = 1
"""So often a worker asks for runs."""
USER_AGENT = f"prefect/{__version__} (API {SERVER_API_VERSION})"
"""As Prefect's own client calls itself: the server keeps slots of older ones in another way."""


class Server:
    """A server with a database of its own; the same port and database whenever it is started again.

    Its process leaves when its standard input closes: whatever becomes of the tests, nothing stays behind.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.log = folder / "server.log"
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": stack.LEASES,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "WARNING",
            **environment,
        }
        self.environment.pop("PREFECT_API_URL", None)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows._server", str(self.port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self.environment,
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"the server did not answer:\n{self.log.read_text()[-3000:]}")

    def leases(self) -> dict[str, str]:
        """Return until when slots of running deployments are held, by lease."""
        folder = Path(self.environment["PREFECT_HOME"]) / "concurrency_leases"
        kept = [json.loads(path.read_text()) for path in folder.glob("????????-*.json")]
        return {one["id"]: one["expiration"] for one in kept}

    def kill(self) -> None:
        """Kill it, which it can do nothing about."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
            self._process = None


class Worker:
    """``prefect worker start`` with a store, and the flow processes that it starts."""

    def __init__(self, folder: Path, server: Server, store: str) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        shared = {
            **server.environment,
            "PREFECT_API_URL": server.url,
            "PREFECT_WORKER_QUERY_SECONDS": str(QUERY_S),
            "INCEPTION_LOOP_STORE": store,
            # Of this folder the worker needs holding.py.
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
            # A lease of a killed run that had to time out would outlast every run of these tests.
            "INCEPTION_LOOP_LEASE_TTL_S": "7200",
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=shared,
            )

    @property
    def alive(self) -> bool:
        """Whether the worker runs."""
        return self._process.poll() is None

    @property
    def flow_processes(self) -> dict[int, int]:
        """Pid and start of everything that the worker has started, and what that has."""
        return descendants(self._process.pid)

    def kill_flows(self) -> None:
        """Kill the flow processes alone."""
        kill(self.flow_processes)

    def kill(self) -> None:
        """Kill the worker alone; what it has started goes on."""
        self._process.kill()
        self._process.wait()

    def kill_all(self) -> None:
        """Kill the worker first, so that it can say nothing of its flow processes, then these."""
        left = self.flow_processes
        self.kill()
        kill(left)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def descendants(pid: int) -> dict[int, int]:
    """Return pid and start in ticks of the children of a process, of theirs, and so on."""
    stats = {int(path.name): stat(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    found: dict[int, int] = {}
    parents = {pid}
    while parents:
        children = {one: s[1] for one, s in stats.items() if s is not None and s[0] in parents}
        parents = children.keys() - found.keys()
        found |= children
    return found


def stat(pid: int) -> tuple[int, int] | None:
    """Return (parent's pid, start in ticks) of a process that runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else (int(fields[1]), int(fields[19]))


def kill(processes: Mapping[int, int]) -> None:
    """Kill processes by pid, unless the pid is another's by now, and wait for their end."""
    for pid, start in processes.items():
        if (stat(pid) or (0, -1))[1] == start:
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any((stat(pid) or (0, -1))[1] == start for pid, start in processes.items()):
        assert time.monotonic() < deadline, f"killed, yet alive: {processes}"
        time.sleep(0.02)


class Api:
    """The few requests of a server's API that the tests make."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        """Return the answer to a request, made again while it is refused or late, as Prefect's clients do."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                return self._ask(method, path, content)
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                time.sleep(1)
            except (TimeoutError, ConnectionError):
                time.sleep(1)
        raise AssertionError(f"the server did not serve {method} {path} within {READY_S:.0f} s")

    def _ask(self, method: str, path: str, content: Any) -> Any:
        data = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        request = urllib.request.Request(f"{self._url}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def deployment(self, flow: str) -> dict[str, Any]:
        """Return the deployment of a flow."""
        return self.ask("GET", f"/deployments/name/{flow}/{flow}")

    def deploy(self, flow: str, entrypoint: str, **more: Any) -> None:
        """Deploy a flow as those are that are light."""
        alike = self.deployment("conclude")
        place = {name: alike[name] for name in ("work_pool_name", "work_queue_name", "job_variables")}
        made = self.ask("POST", "/flows/", {"name": flow})["id"]
        wanted = {"name": flow, "flow_id": made, "entrypoint": entrypoint, **place, **more}
        self.ask("POST", "/deployments/", wanted)

    def start(self, flow: str, parameters: Any) -> str:
        """Ask for a run of a deployment; returns its id."""
        run = {
            "state": {"type": "SCHEDULED"},
            "parameters": parameters,
            "enforce_parameter_schema": False,
            "idempotency_key": str(uuid.uuid4()),
        }
        return self.ask("POST", f"/deployments/{self.deployment(flow)['id']}/create_flow_run", run)["id"]

    def state(self, run: str) -> dict[str, Any]:
        """Return the state of a run: its type, name, message and timestamp."""
        return self.ask("GET", f"/flow_runs/{run}")["state"]

    def states(self, run: str) -> list[str]:
        """Return the names of all states that a run was in."""
        found = self.ask("GET", f"/flow_run_states/?flow_run_id={run}")
        return [one["name"] for one in sorted(found, key=lambda one: one["timestamp"])]

    def set_state(self, run: str, kind: str) -> str:
        """Propose a state; returns what the server makes of it."""
        proposed = {"state": {"type": kind, "message": "of the test"}}
        return self.ask("POST", f"/flow_runs/{run}/set_state", proposed)["status"]

    def unfinished(self) -> list[dict[str, Any]]:
        """Return the runs, of stages too, that are said to run."""
        running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
        return self.ask("POST", "/flow_runs/filter", running)

    def slots(self, flow: str) -> int:
        """Return how many slots of a deployment's limit are taken."""
        return self.deployment(flow)["global_concurrency_limit"]["active_slots"]

    def beat(self, run: str) -> None:
        """Send what a flow run sends as a sign of life."""
        event = {
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": "prefect.flow-run.heartbeat",
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.name": "x"},
        }
        self.ask("POST", "/events", [event])


def deploy(server: Server) -> None:
    """Tell a server what can be run, as a lab does."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "deploy"],
        cwd=ROOT,
        env={**server.environment, "PREFECT_API_URL": server.url},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

"""Services for all rooms: a real MinIO, found or built, started once a session on a free loopback port."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import random
import secrets
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import botocore.session
import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
READY_S = 60.0
PORTS = range(15_000, 32_000)
"""Below those that a kernel gives to connections: a server that was stopped gets its port back."""

if "PYTEST_XDIST_WORKER" in os.environ:  # workers, and what they start, share the cores
    for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_threads, "1")

# Machines are shared and slow at times: how long an example takes says nothing. In CI the examples are the
# same in every run.
hypothesis.settings.register_profile(
    "shared",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("shared")


class Minio:
    """One server process over one folder; the same port and folder whenever it is started again."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.user = "tester"
        self.password = "secret-" + secrets.token_hex(12)
        self.folder = folder
        self.endpoint = f"http://127.0.0.1:{_free_port()}"
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the ecosystem's clients read."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.user,
            "AWS_SECRET_ACCESS_KEY": self.password,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "2",
        }

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        address = self.endpoint.removeprefix("http://")
        environment = {
            **os.environ,
            "MINIO_ROOT_USER": self.user,
            "MINIO_ROOT_PASSWORD": self.password,
            "MINIO_UPDATE": "off",
        }
        with (self.folder.parent / "minio.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "server", self.folder, "--address", address, "--quiet"],
                env=environment,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """End exactly the process that was started."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def client(self, service: str = "s3", **options: str) -> object:
        """Return a botocore client that looks at the server from outside the project."""
        return botocore.session.get_session().create_client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            **{"aws_access_key_id": self.user, "aws_secret_access_key": self.password, **options},
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.endpoint}/minio/health/ready", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        log = (self.folder.parent / "minio.log").read_text(errors="replace")[-2000:]
        pytest.fail(f"MinIO did not become ready in {READY_S:.0f} s:\n{log}")


def _free_port() -> int:
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail(f"no free port found between {PORTS[0]} and {PORTS[-1]}")


def _program() -> Path | None:
    """Return the server's program; on a person's machine, built by one process where there is none."""
    infra = _infra()
    if os.environ.get("CI"):
        return infra.find()
    infra.BIN.mkdir(parents=True, exist_ok=True)
    with (infra.BIN / "building.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return infra.find_or_build()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what ``--numprocesses auto`` means: a process a core, and one for while the others wait.

    Tests of servers, schedules and faults wait for a quarter of their time.
    """
    usable = getattr(os, "sched_getaffinity", None)
    return 1 + (len(usable(0)) if usable else os.cpu_count() or 1)


def _infra() -> ModuleType:
    return _load("infra_minio", ROOT / "infra" / "minio.py")


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of tests/chaos is run."""
    parser.addoption(
        "--campaign",
        choices=["short", "long"],
        default="short",
        help="length of the campaigns in tests/chaos",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the server; what waits longest, for servers that die, begins first."""
    items.sort(key=lambda item: item.path != ROOT / "tests" / "chaos" / "test_workers.py")
    for item in items:
        if "minio" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.minio)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the server, if it has to be, before any test's time runs."""
    if any("minio" in getattr(item, "fixturenames", ()) for item in session.items):
        with contextlib.suppress(SystemExit):  # the tests that need it will say so
            _program()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Find a port of the loopback interface for a server that a test starts."""
    return _free_port


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A running server that everybody shares; whoever stops it starts it again."""
    program = _infra().find()
    if program is None:
        pytest.fail("MinIO is missing; expected it on PATH or in .cache/bin; run: make services")
    server = Minio(program, tmp_path_factory.mktemp("minio") / "data")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def bucket(minio: Minio) -> str:
    """The name of a bucket that everybody shares."""
    name = f"tests-{uuid.uuid4().hex[:12]}"
    minio.client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_uri(minio: Minio, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty prefix as a store's URI, with the environment set for it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in minio.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(minio.folder.parent / "no-credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(minio.folder.parent / "no-config"))
    return f"s3://{bucket}/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh ``PREFECT_HOME``: results of earlier test sessions must not leak into this one."""
    return tmp_path_factory.mktemp("prefect-home")


@pytest.fixture(scope="session")
def prefect_api(prefect_home: Path) -> Iterator[str]:
    """A temporary Prefect server that all tests of flows share."""
    os.environ.update(
        PREFECT_HOME=str(prefect_home),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
        PREFECT_LOGGING_LEVEL="WARNING",
    )
    os.environ.pop("PREFECT_API_URL", None)
    from flows._server import prefect_server

    with prefect_server() as url:
        yield url


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """A loop of seconds, and what tests ask of it; see tiny_loop.py."""
    return _load("tiny_loop", ROOT / "tests" / "tiny_loop.py")


@pytest.fixture(scope="session")
def days() -> ModuleType:
    """A sound day of a simulated animal, and the same day spoilt in known ways; see quality_days.py."""
    return _load("quality_days", ROOT / "tests" / "quality_days.py")


@pytest.fixture(scope="session")
def sets() -> ModuleType:
    """Stimulus sets of known content, made by hand; see made_sets.py."""
    return _load("made_sets", ROOT / "tests" / "made_sets.py")


@pytest.fixture(scope="session")
def loops() -> ModuleType:
    """Loops of known content, made by hand; see made_loops.py."""
    return _load("made_loops", ROOT / "tests" / "made_loops.py")


@pytest.fixture(scope="session")
def tiny_run(tiny: ModuleType, prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """The tiny loop, run once without disturbance into a store that nobody changes: its URI and result.

    The processes of a session share it: the first that asks makes it, the others wait.
    """
    from flows.loop import LoopResult

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-run"
    folder.mkdir(exist_ok=True)
    uri, result = f"file://{folder}/store", folder / "result.json"
    with (folder / "making.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.is_file():
            result.write_text(tiny.run_here(uri, tiny.tiny_parameters()).model_dump_json())
    return uri, LoopResult.model_validate_json(result.read_text())

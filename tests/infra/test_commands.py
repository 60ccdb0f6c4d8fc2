"""Every command and health check of the compose file and the images, run once as a plain process.

There is no container engine here, so only what a container would have around it is changed: names of hosts,
ports, and folders. Postgres, whose image is not built here, is the one that is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytestmark = [pytest.mark.timeout(1800), pytest.mark.minio]
ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
sys.path.append(str(INFRA))
import minio  # noqa: E402
import postgres  # noqa: E402
from processes import Processes, free_port  # noqa: E402

sys.path.remove(str(INFRA))

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]
PORTS = {"9000": 15_901, "4200": 15_902, "5432": 15_903, "8080": 15_904}
"""Of the containers → those that are tried first here."""


class Machine:
    """What stands for the network and the folders of the containers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {inside: str(free_port(usual)) for inside, usual in PORTS.items()}
        self.processes = Processes(folder)
        make = [sys.executable, str(INFRA / "make_secrets.py"), "--folder", str(folder / "secrets")]
        subprocess.run(make, check=True, capture_output=True)

    def here(self, text: str) -> str:
        """Say something of a container in the words of this machine."""
        while (plain := re.sub(r"\$\{\w+:-([^${}]*)\}", r"\1", text)) != text:  # one may stand in another
            text = plain
        text = re.sub(r"^/(tmp|var/lib)/", f"{self.folder}/", text)
        text = text.replace("/run/secrets/", f"{self.folder}/secrets/").replace("0.0.0.0", "127.0.0.1")
        text = re.sub(r"^/data$", str(self.folder / "data"), text)
        text = re.sub(r"//(s3|prefect-server):", "//127.0.0.1:", text)
        text = re.sub(r"^:(\d+)$", r"127.0.0.1:\1", text)
        for inside, outside in self.ports.items():
            text = re.sub(rf"(^|[:=]){inside}(?=$|/)", rf"\g<1>{outside}", text)
        return text

    def environment(self, service: str) -> dict[str, str]:
        given = {name: self.here(str(v)) for name, v in SERVICES[service].get("environment", {}).items()}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PREFECT_", "INCEPTION_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), str(minio.BIN), os.environ["PATH"]])
        of_image = {"PREFECT_HOME": str(self.folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        return {**kept, **of_image, "DO_NOT_TRACK": "1", "PATH": path, **given}

    def start(self, service: str, **changed: str) -> None:
        """Start a service and wait until its own health check is content."""
        command = [self.here(word) for word in SERVICES[service]["command"]]
        self.processes.start(service, command, {**self.environment(service), **changed}, cwd=ROOT)
        self.processes.wait_for(service, lambda: self.is_healthy(service))

    def is_healthy(self, service: str, **more: str) -> bool:
        engine, *test = SERVICES[service]["healthcheck"]["test"]
        assert engine == "CMD"
        command = [self.here(word) for word in test]
        environment = {**self.environment(service), **more}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True).returncode == 0

    def run(self, service: str) -> subprocess.CompletedProcess[str]:
        """Run a service that does its work and ends."""
        command = [self.here(word) for word in SERVICES[service]["command"]]
        environment = self.environment(service)
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text()


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="compose-"))
    folder.chmod(0o755)  # Postgres, which runs as another user for root, has to reach its own
    made = Machine(folder)
    yield made
    made.processes.stop()
    shutil.rmtree(folder)


def start_postgres(machine: Machine) -> None:
    data = machine.folder / "postgres"
    programs = postgres.find(data)
    assert programs is not None, "Postgres is missing; expected initdb and postgres; install postgresql"
    cluster, password = postgres.Postgres(programs, data), machine.secret("postgres_password")
    cluster.prepare(password)
    port = int(machine.ports["5432"])
    environment = machine.environment("postgres")
    command = cluster.command(port)
    machine.processes.start("postgres", command, environment, cwd=ROOT, end="SIGINT", user=cluster.user)
    machine.processes.wait_for("postgres", lambda: postgres.ready(password, port))
    # Inside the container it asks on the usual port.
    path = {"PGPORT": str(port), "PATH": f"{programs}{os.pathsep}{environment['PATH']}"}
    assert machine.is_healthy("postgres", **path)


@pytest.mark.skipif(
    postgres.find(Path("nowhere")) is None and not os.environ.get("CI"),
    reason="needs Postgres; install the package postgresql",
)
@pytest.mark.acceptance
def test_what_the_compose_file_starts_works_together_as_plain_processes(machine) -> None:
    machine.start("s3")
    assert machine.run("s3-keys").stdout == (
        "buckets inception-loop, recordings; keys given out: worker,recordings-reader; reader; rig\n"
    )
    start_postgres(machine)
    machine.start("prefect-server", PREFECT_SERVER_DATABASE_HOST="127.0.0.1")

    api = machine.environment("deploy")["PREFECT_API_URL"]
    assert httpx.get(f"{api}/admin/version").status_code == 401  # nobody without the password
    deployed = machine.run("deploy")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    machine.start("worker", PREFECT_WORKER_WEBSERVER_PORT=machine.ports["8080"])
    user, password = machine.secret("prefect_auth").split(":")

    def pools() -> list[tuple[str, str]]:
        found = httpx.post(f"{api}/work_pools/filter", json={}, auth=(user, password)).json()
        return [(pool["name"], pool["status"]) for pool in found]

    deadline = time.monotonic() + 60
    while pools() != [("local", "READY")] and time.monotonic() < deadline:
        time.sleep(0.5)
    assert pools() == [("local", "READY")]
    assert not list(machine.folder.glob("prefect/*.db"))  # its runs are in Postgres
    assert list(machine.folder.glob("ui/*/index.html"))  # its pages are where a container can write
    with_a_limit = httpx.get(f"{api}/deployments/name/conclude/conclude", auth=(user, password)).json()["id"]
    made = f"{api}/deployments/{with_a_limit}/create_flow_run"
    run = httpx.post(made, json={"parameters": {"parameters": {}}}, auth=(user, password)).json()["id"]
    taken = {"state": {"type": "PENDING"}}  # unless the worker was quicker
    httpx.post(f"{api}/flow_runs/{run}/set_state", json=taken, auth=(user, password)).raise_for_status()
    assert list(machine.folder.glob("prefect/concurrency_leases/*.json"))  # and its leases on the volume

    everything = [machine.secret(name).split()[-1] for name in ("s3_root", "s3_worker", "postgres_password")]
    logs = "".join(log.read_text(errors="replace") for log in machine.folder.glob("*.log"))
    assert not [secret for secret in (*everything, password) if secret in logs]


def test_the_images_start_what_the_compose_file_starts() -> None:
    """Their own commands differ in nothing but the queues, so that the run above is one of them too."""
    words: dict[str, list[list[str]]] = {}
    for name in ("Dockerfile", "s3.Dockerfile"):
        text = (INFRA / name).read_text()
        words[name] = [
            json.loads(found) for found in re.findall(r"(?:^|\s)CMD (\[.*\])$", text, re.MULTILINE)
        ]
    s3, worker = SERVICES["s3"], SERVICES["worker"]
    assert words["s3.Dockerfile"] == [s3["healthcheck"]["test"][1:], s3["command"]]
    queues = [word for word in worker["command"] if not word.startswith("--work-queue")]
    assert words["Dockerfile"] == [worker["healthcheck"]["test"][1:], queues]


def test_a_gpu_worker_differs_in_its_queue_and_device_alone() -> None:
    cpu, gpu = SERVICES["worker"], SERVICES["worker-gpu"]
    assert {*gpu["command"]} - {*cpu["command"]} == {"--work-queue=gpu"}
    assert {**cpu["environment"], "INCEPTION_LOOP_DEVICE": "cuda"} == gpu["environment"]
    assert cpu["healthcheck"] == gpu["healthcheck"]

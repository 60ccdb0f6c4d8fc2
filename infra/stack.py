"""``make stack``: MinIO, Postgres, a Prefect server and a worker as local processes. Ctrl-C ends all of them.

Data live under ``.cache/stack`` and stay; nothing listens outside the loopback interface. Where there is no
Postgres, Prefect keeps its runs in SQLite. No process has more keys than it needs: the server's own stay
with the server, the worker has one for the store and may read what rigs bring, and rigs may bring it.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import minio
import postgres
import s3_keys
from key_files import Key
from processes import Processes, answers, free_port

ROOT = Path(__file__).resolve().parents[1]
STORE = "s3://inception-loop/store"
KEYS = ("root", "worker", "reader", "rig")
PORTS = {"s3": 9000, "prefect": 4200, "postgres": 5432}
WORKER = ["prefect", "worker", "start", "--pool", "local"]
REFUSED = 2
"""Status of a command that was told something wrong, such as parameters that an older version took."""
HEARTBEAT_S = "30"
"""How often a run says that it lives: after three silent ones it counts as crashed."""
LEASES = "prefect.server.concurrency.lease_storage.filesystem"
"""Where the server keeps who holds which slot: in files, so that a restart ends no running deployment."""


class Secrets(NamedTuple):
    """What only the owner of this machine's account may read."""

    root: Key
    worker: Key
    reader: Key
    rig: Key
    postgres: str


class Ports(NamedTuple):
    """Where the services of this start listen."""

    s3: int
    prefect: int
    postgres: int


class Stack:
    """The services of one machine.

    Parameters
    ----------
    home
        Folder of data, keys and logs.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.secrets, self.ports = known_secrets(home), chosen_ports()
        self.processes = Processes(home)
        self.s3 = f"http://127.0.0.1:{self.ports.s3}"
        self.ui = f"http://127.0.0.1:{self.ports.prefect}"

    def start(self) -> None:
        """Start everything, each when that stands which it needs."""
        self._start_s3()
        database = self._start_postgres()
        self._start_prefect(database)
        self._deploy()
        self._start_worker()
        for name, key in (("worker", self.secrets.worker), ("reader", self.secrets.reader)):
            write_private(self.home / f"{name}.env", exports({**self.client(key), **self._api()}))
        write_private(self.home / "rig.env", exports(self.s3_client(self.secrets.rig)))
        say(self.summary("Postgres" if database else "SQLite"))

    def client(self, key: Key) -> dict[str, str]:
        """Return what a program needs to use the store with a key."""
        return {**self.s3_client(key), "INCEPTION_LOOP_STORE": STORE}

    def s3_client(self, key: Key) -> dict[str, str]:
        """Return what a program needs to use the S3 server with a key."""
        return {
            "AWS_ENDPOINT_URL": self.s3,
            "AWS_ACCESS_KEY_ID": key.access,
            "AWS_SECRET_ACCESS_KEY": key.secret,
            "AWS_REGION": s3_keys.REGION,
        }

    def summary(self, database: str) -> str:
        """Return what a person wants to know now."""
        return (
            f"Prefect UI    {self.ui}   (runs in {database})\n"
            f"S3 (MinIO)    {self.s3}   store {STORE}\n"
            f"First run     UI: Deployments, inception-loop, Run\n"
            f"In a shell    . {self.home / 'worker.env'}   then inception-loop …; reader.env only reads\n"
            f"Rigs          {self.home / 'rig.env'}   brings recordings into s3://recordings alone\n"
            f"Logs          {self.home}/*.log\n"
            "Ctrl-C ends all; data stay."
        )

    def _common(self) -> dict[str, str]:
        """Return what every process may know: addresses, and no key of the store or database."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **inherited,
            **self._api(),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_SERVER_UI_API_URL": f"{self.ui}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    def _api(self) -> dict[str, str]:
        auth = os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
        return {"PREFECT_API_URL": f"{self.ui}/api", **({"PREFECT_API_AUTH_STRING": auth} if auth else {})}

    def _start_s3(self) -> None:
        """Start MinIO; make the buckets and the keys that may use it."""
        root, listen = self.secrets.root, f"127.0.0.1:{self.ports.s3}"
        self.processes.start(
            "minio",
            [str(minio.find_or_build()), "server", str(self.home / "s3"), "--address", listen, "--quiet"],
            {
                **self._common(),
                "MINIO_ROOT_USER": root.access,
                "MINIO_ROOT_PASSWORD": root.secret,
                "MINIO_UPDATE": "off",
            },
            cwd=ROOT,
        )
        self.processes.wait_for("minio", lambda: answers(f"{self.s3}/minio/health/ready"))
        s3_keys.make_buckets(self.s3, root)
        own = self.secrets
        given = {"worker,recordings-reader": own.worker, "reader": own.reader, "rig": own.rig}
        s3_keys.give_out(self.s3, root, given)

    def _start_postgres(self) -> str | None:
        """Start Postgres where it can be had; return the database's address, None for Prefect's SQLite."""
        data, password, port = self.home / "postgres", self.secrets.postgres, self.ports.postgres
        standing = self.home / "prefect" / "prefect.db"
        if standing.exists() and not data.exists():
            say(
                f"runs of before are in SQLite ({standing}) and stay there; to begin anew in Postgres "
                "move that file away, start again, and say what was deployed: inception-loop deploy --watch …"
            )
            return None
        programs = postgres.find(data)
        if programs is None:
            return without_postgres(data, "initdb and postgres are not installed in a version that fits")
        try:
            cluster = postgres.Postgres(programs, data)
            cluster.prepare(password)
        except (OSError, subprocess.CalledProcessError) as error:
            return without_postgres(data, str(error))
        self.processes.start(
            "postgres", cluster.command(port), self._common(), cwd=ROOT, end="SIGINT", user=cluster.user
        )
        self.processes.wait_for("postgres", lambda: postgres.ready(password, port))
        write_private(self.home / "pgpass", postgres.pass_file(password, port))
        return postgres.url(password, port)

    def _start_prefect(self, database: str | None) -> None:
        own = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database} if database else {}
        # Slots of running deployments outlive a restart of the server: their leases lie in its PREFECT_HOME.
        own["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] = LEASES
        own["PREFECT_SERVER_LOG_RETRYABLE_ERRORS"] = "true"
        own["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"] = "events,flow_runs"  # those of 90 days ago go
        port = str(self.ports.prefect)
        on_postgres = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        command = on_postgres if database else [sys.executable, "-m", "flows._server", port]
        self.processes.start("prefect-server", command, {**self._common(), **own}, cwd=ROOT)
        self.processes.wait_for("prefect-server", lambda: answers(f"{self.ui}/api/health"))

    def _deploy(self) -> None:
        """Tell the server what can be run; what a lab has to correct first is said, and the rest runs on."""
        log = self.home / "deploy.log"
        with log.open("wb") as sink:
            done = subprocess.run(
                ["inception-loop", "deploy"], env=self._common(), cwd=ROOT, stdout=sink, stderr=sink
            )
        if done.returncode == REFUSED:
            said = log.read_text(errors="replace").strip().rpartition("\n")[2]
            say(f"inception-loop deploy: {said}; until then runs are as they were deployed before")
        elif done.returncode:
            raise SystemExit(f"inception-loop deploy failed; all ended; read {log}")

    def _start_worker(self) -> None:
        """Start what runs the flows, with the worker's key and nothing else."""
        environment = {**self._common(), **self.client(self.secrets.worker)}
        environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = HEARTBEAT_S
        self.processes.start("worker", WORKER, environment, cwd=ROOT)


def known_secrets(home: Path) -> Secrets:
    """Return the keys and passwords of a stack; made once, each again after it was deleted."""
    path = home / "secrets.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    made = {name: [f"inception-loop-{name}", secrets.token_urlsafe(24)] for name in KEYS}
    kept = {**made, "postgres": secrets.token_urlsafe(24), **before}
    if kept != before:
        write_private(path, json.dumps(kept, indent=2) + "\n")
    return Secrets(*(Key(*kept[name]) for name in KEYS), kept["postgres"])


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, not even while it is written."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def chosen_ports() -> Ports:
    """Return the usual ports, or free ones where somebody listens already, and say so."""
    found = {name: free_port(usual) for name, usual in PORTS.items()}
    for name, port in found.items():
        if port != PORTS[name]:
            say(f"port {PORTS[name]} is taken; {name} listens on {port}")
    return Ports(**found)


def without_postgres(data: Path, why: str) -> None:
    """Say why Prefect keeps its runs in SQLite; refuse to where they are in Postgres already."""
    if data.exists():
        raise SystemExit(
            f"the runs of this stack are in Postgres under {data}, which cannot be started: {why}; "
            "install that version again, or move the folder away to begin anew"
        )
    say(f"no Postgres ({why}); Prefect keeps its runs in SQLite, which serves one worker")


def exports(variables: Mapping[str, str]) -> str:
    """Return variables as lines for a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def say(text: str) -> None:
    """Say something at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def only_one(home: Path) -> int:
    """Hold a folder for this process as long as it lives."""
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(
            f"a stack runs already in {home}; expected none; end that one (Ctrl-C where it runs)"
        ) from None
    return lock


def main() -> None:
    """Start everything, print the addresses and wait for Ctrl-C."""
    parser = argparse.ArgumentParser(description="MinIO, Postgres, Prefect server, worker on one machine.")
    parser.add_argument("--home", type=Path, default=ROOT / ".cache" / "stack", help="folder of data, logs")
    home = parser.parse_args().home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    lock = only_one(home)
    stack = Stack(home)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a script started this with "&"
    try:
        stack.start()
        while True:
            time.sleep(1)
            stack.processes.check()
    except KeyboardInterrupt:
        say("ending ...")
    finally:
        stack.processes.stop()
        os.close(lock)


if __name__ == "__main__":
    main()

"""``make stack``: MinIO, a Prefect server and a worker as local processes. Ctrl-C ends all of them.

Data live under ``.cache/stack``; nothing listens outside the loopback interface.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".cache" / "stack"
BUCKET = "inception-loop"
S3_PORT, PREFECT_PORT = 9000, 4200
READY_SECONDS = 180.0


class Stack:
    """The processes of the stack, ended in the reverse order of their start."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a process with a log of its own."""
        log = (HOME / f"{name}.log").open("ab")
        process = subprocess.Popen(
            command, env=self.environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        self.processes.append((name, process))

    def wait_for(self, name: str, url: str) -> None:
        """Wait until ``url`` answers, or say which log to read."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self.check()
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise SystemExit(f"{name} does not answer at {url}; read {HOME / name}.log")

    def check(self) -> None:
        """Leave if a process has ended."""
        for name, process in self.processes:
            if process.poll() is not None:
                raise SystemExit(f"{name} ended with status {process.returncode}; read {HOME / name}.log")

    def stop(self) -> None:
        """End every process, the last started first."""
        for _, process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for _, process in reversed(self.processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def credentials() -> tuple[str, str]:
    """Return the stack's own keys, made once and readable by their owner only."""
    path = HOME / "credentials"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"inception-loop\n{secrets.token_urlsafe(24)}\n")
    user, password = path.read_text().split()
    return user, password


def environment() -> dict[str, str]:
    """Return what the processes of the stack share."""
    user, password = credentials()
    return {
        **os.environ,
        "MINIO_ROOT_USER": user,
        "MINIO_ROOT_PASSWORD": password,
        "MINIO_UPDATE": "off",
        "AWS_ACCESS_KEY_ID": user,
        "AWS_SECRET_ACCESS_KEY": password,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{S3_PORT}",
        "AWS_REGION": "us-east-1",
        "INCEPTION_LOOP_STORE": f"s3://{BUCKET}/store",
        "PREFECT_HOME": str(HOME / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{PREFECT_PORT}/api",
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{PREFECT_PORT}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def make_bucket(shared: dict[str, str]) -> None:
    """Create the bucket where it is missing."""
    import s3fs

    fs = s3fs.S3FileSystem(
        key=shared["AWS_ACCESS_KEY_ID"],
        secret=shared["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=shared["AWS_ENDPOINT_URL"],
    )
    if not fs.exists(BUCKET):
        fs.mkdir(BUCKET)


def main() -> None:
    """Start everything, print the addresses and wait for Ctrl-C."""
    sys.path.insert(0, str(ROOT / "infra"))
    import minio

    HOME.mkdir(parents=True, exist_ok=True)
    shared = environment()
    stack = Stack(shared)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        stack.start(
            "minio",
            [
                str(minio.find_or_build()),
                "server",
                str(HOME / "s3"),
                "--address",
                f"127.0.0.1:{S3_PORT}",
                "--quiet",
            ],
        )
        stack.start(
            "prefect-server",
            ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(PREFECT_PORT)],
        )
        stack.wait_for("minio", f"http://127.0.0.1:{S3_PORT}/minio/health/ready")
        make_bucket(shared)
        stack.wait_for("prefect-server", f"http://127.0.0.1:{PREFECT_PORT}/api/health")
        deploy = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml"]
        subprocess.run(
            ["prefect", "work-pool", "create", "local", "--type", "process", "--overwrite"],
            env=shared,
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        subprocess.run(deploy, env=shared, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        stack.start("worker", ["prefect", "worker", "start", "--pool", "local"])
        sys.stdout.write(
            f"Prefect UI    http://127.0.0.1:{PREFECT_PORT}\n"
            f"S3 (MinIO)    http://127.0.0.1:{S3_PORT}   bucket {BUCKET}; keys in {HOME / 'credentials'}\n"
            f"Store         {shared['INCEPTION_LOOP_STORE']}\n"
            f"Logs          {HOME}\nCtrl-C ends all.\n"
        )
        sys.stdout.flush()
        while True:
            time.sleep(1)
            stack.check()
    except KeyboardInterrupt:
        sys.stdout.write("ending ...\n")
    finally:
        stack.stop()


if __name__ == "__main__":
    main()

"""Processes of one machine that start one after the other and end together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LEASH = Path(__file__).with_name("leash.py")
READY_SECONDS = 180.0
STOP_SECONDS = 20.0
"""Somewhat longer than a leash waits."""


class Service(NamedTuple):
    """A process, what it is called and where it writes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Processes:
    """Services on leashes of this process: they end with it, even when it is killed.

    Parameters
    ----------
    logs
        Folder of their logs.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._services: list[Service] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path,
        end: str = "SIGTERM",
        user: str | None = None,
    ) -> None:
        """Start a service with a log of its own; ``end`` is the signal that ends it in order."""
        log = self._logs / f"{name}.log"
        leash = [sys.executable, str(LEASH), *(["--user", user] if user else []), end]
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [*leash, *command],
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                start_new_session=True,  # Ctrl-C goes to this process alone, which ends the others in order
            )
        self._services.append(Service(name, process, log))

    def wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until a service is ready; leave with the log to read if it does not become so."""
        (service,) = (one for one in self._services if one.name == name)
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"{name} was not ready within {READY_SECONDS:.0f} s; all ended; read {service.log}"
                )
            time.sleep(0.2)

    def check(self) -> None:
        """Leave if a service has ended: the others would work, or seem to, without it."""
        for service in self._services:
            if service.process.poll() is not None:
                raise SystemExit(
                    f"{service.name} ended with status {service.process.returncode}; all ended; "
                    f"read {service.log}"
                )

    def stop(self) -> None:
        """End every service in order, the last started first: a worker before its server."""
        for service in reversed(self._services):
            assert service.process.stdin is not None
            service.process.stdin.close()
            try:
                service.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()
            if service.process.returncode < 0:  # the leash itself was killed: what it held is left
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(service.process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether a page of this machine answers."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def free_port(usual: int) -> int:
    """Return the usual port of this machine if nobody listens there, else one that is free."""
    for wanted in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no port of this machine is free")

"""Processes that start together end together, whatever becomes of one of them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"
sys.path.append(str(INFRA))
from processes import Processes, free_port  # noqa: E402

sys.path.remove(str(INFRA))

PROGRAM = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


def until(reached: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.05)
    return reached()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")
@pytest.mark.parametrize("victim", ["service", "leash"])
def test_one_that_is_killed_is_named_and_nothing_is_left(tmp_path, victim) -> None:
    processes = Processes(tmp_path)
    pids = []
    for name in ("first", "second"):
        mark = tmp_path / name
        processes.start(name, [sys.executable, "-c", PROGRAM, str(mark)], os.environ, cwd=tmp_path)
        assert until(lambda mark=mark: mark.exists() and bool(mark.read_text()))
        pids.append(int(mark.read_text()))
    processes.check()
    leash = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(leash if victim == "leash" else pids[0], signal.SIGKILL)

    def said() -> bool:
        try:
            processes.check()
        except SystemExit as error:
            return str(error).startswith("first ended with status") and f"{tmp_path}/first.log" in str(error)
        return False

    assert until(said)
    processes.stop()
    assert until(lambda: not any(runs(pid) for pid in pids))


def test_what_never_becomes_ready_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("processes.READY_SECONDS", 0.1)
    processes = Processes(tmp_path)
    processes.start("slow", [sys.executable, "-c", PROGRAM, str(tmp_path / "pid")], os.environ, cwd=tmp_path)
    with pytest.raises(SystemExit, match=r"slow was not ready within 0 s; all ended; read .*slow\.log"):
        processes.wait_for("slow", lambda: False)
    processes.stop()


def test_a_taken_port_is_replaced() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        usual = taken.getsockname()[1]
        assert free_port(usual) != usual
    assert free_port(usual) == usual

"""What is on a leash ends with whoever holds it, in order if it can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LEASH = Path(__file__).resolve().parents[2] / "infra" / "leash.py"
HOLDER = """
import subprocess, sys
leash = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
leash.wait()
"""
SHORT = """
import sys
sys.path.insert(0, {folder!r})
import leash
leash.GRACE_SECONDS = 1
sys.exit(leash.main())
"""
OBEDIENT = """
import os, pathlib, signal, sys, time
def leave(*_):
    pathlib.Path(sys.argv[1] + ".orderly").touch()
    sys.exit(0)
signal.signal(signal.SIGINT, leave)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""
STUBBORN = OBEDIENT.replace(
    "signal.signal(signal.SIGINT, leave)", "signal.signal(signal.SIGINT, signal.SIG_IGN)"
)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")
@pytest.mark.parametrize(("program", "orderly"), [(OBEDIENT, True), (STUBBORN, False)])
def test_a_command_ends_when_the_holder_of_its_leash_is_killed(tmp_path, program, orderly) -> None:
    mark = tmp_path / "pid"
    leash = [sys.executable, "-c", SHORT.format(folder=str(LEASH.parent)), "SIGINT"]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *leash, sys.executable, "-c", program, str(mark)]
    )
    deadline = time.monotonic() + 30
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = int(mark.read_text())
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)
    assert Path(f"{mark}.orderly").exists() == orderly


def test_a_command_that_ends_by_itself_hands_on_its_status() -> None:
    leash = subprocess.Popen(
        [sys.executable, str(LEASH), "SIGTERM", sys.executable, "-c", "raise SystemExit(7)"],
        stdin=subprocess.PIPE,
    )
    assert leash.wait() == 7
    assert leash.stdin is not None
    leash.stdin.close()

"""Run a command that ends with whoever started it: ``python infra/leash.py [--user NAME] SIGNAL COMMAND …``.

Standard input is the leash: when it closes, because its owner ended in order, was ended or was killed, the
command gets the signal, and whatever of its process group is left after a while is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import signal
import subprocess
import sys
import threading
from typing import Any

GRACE_SECONDS = 15.0
"""Longer than a worker needs to end its runs."""


def main() -> int:
    """Run the command and return its status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--user")
    parser.add_argument("signal")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    command = subprocess.Popen(asked.command, stdin=subprocess.DEVNULL, **as_user(asked.user))
    threading.Thread(target=_hold, args=(command, signal.Signals[asked.signal]), daemon=True).start()
    return command.wait()


def as_user(name: str | None) -> dict[str, Any]:
    """Return the arguments of ``subprocess`` that run something as another user; None: as this one."""
    if name is None:
        return {}
    entry = pwd.getpwnam(name)
    home = {**os.environ, "HOME": "/", "USER": name}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/", "env": home}


def _hold(command: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    command.send_signal(number)
    try:
        command.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)  # this process too


if __name__ == "__main__":
    sys.exit(main())

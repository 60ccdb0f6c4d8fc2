"""Who computed it, where and with what: for manifests and leases only, never for identities or payloads."""

from __future__ import annotations

import os
import socket
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

PACKAGES = ("inception-loop", "torch", "numpy", "duckdb", "polars", "pyarrow", "fsspec", "s3fs", "scipy")
PICTURE_PACKAGES = ("scikit-image", "scikit-learn", "pillow")  # photographs come out of their wheels


class Process(BaseModel):
    """Identity of a running process, sharp enough to tell whether it still runs.

    ``boot`` and ``pid_namespace`` say whether a pid of this machine means anything; ``started`` (clock ticks
    since boot) tells a process from a later one that was given the same pid. Empty or 0: not known here.
    """

    model_config = ConfigDict(frozen=True)

    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: int


def this_process() -> Process:
    """Return the identity of the calling process."""
    pid = os.getpid()
    stat = _stat(pid)
    return Process(
        host=socket.gethostname(),
        boot=_text(Path("/proc/sys/kernel/random/boot_id")),
        pid_namespace=_pid_namespace(),
        pid=pid,
        started=stat.started if stat else 0,
    )


def is_gone(process: Process) -> bool:
    """Tell whether a process has certainly ended: of this boot and namespace, its pid free or reused."""
    here = this_process()
    if not here.boot or (process.boot, process.pid_namespace) != (here.boot, here.pid_namespace):
        return False
    stat = _stat(process.pid)
    if stat is None:  # gone, or another user's and hidden
        return not _exists(process.pid)
    return stat.over or stat.started != process.started


class _Stat(NamedTuple):
    over: bool
    started: int


def _stat(pid: int) -> _Stat | None:
    text = _text(Path(f"/proc/{pid}/stat"))
    if not text:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return _Stat(over=fields[0] in "ZX", started=int(fields[19]))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that shape a result, and the project's git commit in a checkout.

    They are those of the first call in a process: a store asks when it is opened, before any step. A commit
    that is made later is not what runs.
    """
    found = {}
    for package in (*PACKAGES, *PICTURE_PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    commit = _git("rev-parse", "HEAD")
    if commit:
        found["git"] = commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    return found


def _git(*arguments: str) -> str:
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()

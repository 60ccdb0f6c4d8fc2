"""What the store knows of every watched folder: how much came in, and what somebody has to see to."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

from inception_loop.artifacts.backend import Backend
from inception_loop.recordings.arrivals.looks import ARRIVALS, BAD, load_looks
from inception_loop.recordings.arrivals.quarantine import quarantined


def overview(backend: Backend) -> list[dict[str, Any]]:
    """Return of each watched folder its address, how many recordings had which fate, and which are bad.

    As the last look at the folder left it. A bad one has ``name``, ``state``, ``why`` and, in quarantine,
    ``path``, ``scan``, ``sha256`` and ``time``.
    """
    looks = sorted(entry.key for entry in backend.walk(ARRIVALS) if entry.key.endswith("/looks.json"))
    return [_of(backend, folder) for folder in filter(None, (_folder(backend, key) for key in looks))]


def _folder(backend: Backend, key: str) -> str:
    with suppress(ValueError, KeyError, TypeError):  # damaged: all is looked at anew
        return str(json.loads(backend.read(key) or b"{}")["folder"])
    return ""


def _of(backend: Backend, folder: str) -> dict[str, Any]:
    seen = load_looks(backend, folder)
    bad = []
    for name, one in seen.items():
        if one.fate in BAD:
            record = quarantined(backend, folder, name) if one.fate == "quarantined" else None
            more = {} if record is None else record.model_dump(include={"path", "scan", "sha256", "time"})
            bad.append({"name": name, "state": one.fate, "why": one.said} | more)
    bad.sort(key=lambda one: (BAD.index(one["state"]), one["name"]))
    return {
        "folder": folder,
        "counts": dict(sorted(Counter(one.fate for one in seen.values()).items())),
        "bad": bad,
    }


def in_lines(folders: list[dict[str, Any]]) -> list[str]:
    """Say the same for a person."""
    lines = []
    for one in folders:
        counts = ", ".join(f"{n} {fate}" for fate, n in one["counts"].items()) or "nothing"
        lines.append(f"{one['folder']}: {counts}")
        for bad in one["bad"]:
            since = f" ({bad['time']})" if "time" in bad else ""
            lines.append(f"  {bad['name']} {bad['state']}{since}: {bad['why']}")
    return lines

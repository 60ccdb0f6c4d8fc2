"""A process that reads hostile files, one after the other, and says how each was refused and what it took."""

from __future__ import annotations

import gc
import json
import re
import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from inception_loop.animals.twin_network import TwinNetwork
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import open_store
from inception_loop.images.natural.picture_files import read_pictures
from inception_loop.recordings.formats import read_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import ScanKey

SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)


STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Where Linux says what memory a process has and had at most, and is told to forget the latter."""


def memory(what: str) -> int:
    """Return the memory of this process, bytes: ``VmRSS`` now, ``VmHWM`` at most."""
    found = re.search(rf"{what}:\s+(\d+) kB", STATUS.read_text())
    assert found is not None
    return 1024 * int(found[1])


def refusal(action: Callable[[], Any]) -> dict[str, Any]:
    """Return how an action failed and by how much the process grew meanwhile."""
    gc.collect()
    FORGET.write_text("5")
    before, error = memory("VmRSS"), None
    try:
        action()
    except Exception as caught:
        error = caught
    return {"error": type(error).__name__, "text": str(error), "grown": memory("VmHWM") - before}


def importing(how: str, path: Path) -> Callable[[], Any]:
    if how == "take":
        return lambda: np.ones(int(str(path)), np.uint8).sum()
    if how == "twin":
        return lambda: TwinNetwork(path)
    if how == "pictures":
        return lambda: list(read_pictures(path))
    return lambda: read_recording(path, SCAN, ReadOptions(trace_kind="spikes"))


def loading(uri: str, payload: str, text: str) -> Callable[[], Any]:
    store, ref = open_store(uri), ArtifactRef.model_validate_json(text)
    if payload == "rows":
        return lambda: store.table(ref, payload)
    if payload == "vectors":
        return lambda: store.vectors(ref, payload, "v")
    return lambda: {name: values.sum() for name, values in store.arrays(ref, payload).items()}


def pairs(words: list[str]) -> Iterable[tuple[str, str]]:
    return zip(words[::2], words[1::2], strict=True)


def main(what: str, *words: str) -> None:
    """Read what the command line names."""
    limit = 6 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if what == "import":
        actions = [importing(how, Path(path)) for how, path in pairs(list(words))]
    else:
        uri, *asked = words
        actions = [loading(uri, payload, text) for payload, text in pairs(asked)]
    sys.stdout.write(json.dumps({"found": [refusal(action) for action in actions]}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A whole store moves to another place: checked on the way, and on from where it was cut short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.artifacts.transfer import copy_all
from inception_loop.artifacts.upkeep import sweep, verify

LENGTH = 5


@pytest.fixture
def chain(tmp_path: Path, demo: Any) -> ArtifactStore:
    """Six artifacts on disk, each made from the one before."""
    store = open_store(f"file://{tmp_path}/source")
    ref = store.make(demo.kind, demo.config(name="0"), demo.build).ref
    for number in range(1, LENGTH + 1):
        ref = store.make(demo.kind, demo.config(name=str(number)), demo.build, {"x": ref}).ref
    return store


def names(store: ArtifactStore) -> set[tuple[str, str]]:
    return {(listed.ref.kind, listed.ref.digest) for listed in artifacts(store)}


def test_a_store_arrives_whole_and_once(chain, memory_store) -> None:
    told: list[tuple[int, int]] = []
    first = copy_all(chain, memory_store, on_progress=lambda done, total: told.append((done, total)))
    assert first == (LENGTH + 1, 0, {})
    assert told == [(done, LENGTH + 1) for done in range(1, LENGTH + 2)]
    assert names(memory_store) == names(chain)
    assert verify(memory_store).sound
    assert copy_all(chain, memory_store) == (0, LENGTH + 1, {})


def test_what_is_damaged_is_named_and_left_out_and_the_rest_arrives(chain, memory_store) -> None:
    folder = Path(chain.uri.removeprefix("file://")) / "demo"
    (note,) = folder.glob("name=1/*/*/note.txt")
    note.write_bytes(note.read_bytes()[:-1] + b"?")
    (manifest,) = folder.glob("name=3/*/manifest.json")
    manifest.write_text("{}")
    found = copy_all(chain, memory_store)
    assert found.copied == LENGTH - 1
    assert {ref.digest for ref in found.faults} == {note.parents[1].name, manifest.parent.name}
    assert "note" in found.faults[next(r for r in found.faults if r.digest == note.parents[1].name)]
    assert names(memory_store) == names(chain) - {(ref.kind, ref.digest) for ref in found.faults}


@pytest.mark.parametrize("place", ["disk", "s3"])
def test_killed_in_the_middle_it_goes_on_and_ends_with_every_byte(request, tmp_path, chain, place) -> None:
    uri = request.getfixturevalue("s3_uri") if place == "s3" else f"file://{tmp_path}/target"
    target = open_store(uri)
    slow = (
        "import sys, time\n"
        "from inception_loop.artifacts import transfer\n"
        "whole = transfer._copy_payload\n"
        "def slowly(*arguments):\n"
        "    whole(*arguments)\n"
        "    time.sleep(0.5)\n"  # between the last byte of a payload and the manifest
        "transfer._copy_payload = slowly\n"
        "from inception_loop.artifacts.store import open_store\n"
        "transfer.copy_all(open_store(sys.argv[1]), open_store(sys.argv[2]))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", slow, chain.uri, uri])
    deadline = time.monotonic() + 120
    while not (2 <= len(names(target)) <= LENGTH) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    there = len(names(target))
    assert 2 <= there <= LENGTH
    assert verify(target).sound
    assert copy_all(chain, target) == (LENGTH + 1 - there, there, {})
    assert names(target) == names(chain)
    assert verify(target).sound
    assert sweep(target, older_than_s=-60).keys  # what the killed one left
    assert verify(target).sound

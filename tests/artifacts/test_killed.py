"""Writers that die: nothing half-written is ever seen, and the next one goes on at once."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.upkeep import sweep, verify

CHILDREN = Path(__file__).with_name("children.py")
RACERS = Path(__file__).with_name("racers.py")
SIGKILLED = -9


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


children = load(CHILDREN)


def run(*arguments: object) -> tuple[int, str]:
    """Run a child to its end and return its status and what it printed."""
    command = [sys.executable, "-W", "error", str(CHILDREN), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def goes_on_after(uri: str, where: str) -> None:
    assert run("killed", uri, where) == (SIGKILLED, "")
    store = open_store(uri)
    assert list(artifacts(store)) == []
    left = {entry.key for entry in store.backend.walk()}
    assert left
    began = time.monotonic()
    outcome = children.make(store)
    assert time.monotonic() - began < store.settings.lease_ttl_s / 4  # the dead owner was not waited for
    assert not outcome.cached
    assert store.manifest(outcome.ref).lease_generation == 2
    assert verify(store).sound
    assert set(sweep(store, older_than_s=-60).keys) >= {key for key in left if "_leases" not in key}
    assert children.make(store) == (outcome.ref, True)


@pytest.mark.parametrize(
    "where", ["in the payload", "before the manifest", "between open and write", "before the link"]
)
def test_killed_on_disk(tmp_path: Path, where: str) -> None:
    goes_on_after(f"file://{tmp_path}/store", where)


@pytest.mark.parametrize("where", ["in the payload", "before the manifest", "at the manifest"])
def test_killed_on_minio(s3_uri: str, where: str) -> None:
    goes_on_after(s3_uri, where)


def test_of_64_racing_writers_in_8_processes_one_wins_100_times(tmp_path: Path) -> None:
    processes, threads, rounds = 8, 8, 100
    racers = [
        subprocess.Popen(
            [sys.executable, str(RACERS), tmp_path, *map(str, (number, processes, threads, rounds))],
            stdout=subprocess.PIPE,
        )
        for number in range(processes)
    ]
    printed = [racer.communicate(timeout=120)[0] for racer in racers]
    wins = [json.loads(text) for text in printed]
    for number in range(rounds):
        winners = [(process, thread) for process, won in enumerate(wins) for thread in won[number]]
        assert len(winners) == 1
        assert (tmp_path / "store" / "round" / str(number)).read_bytes() == b"%d %d" % winners[0] * 50
    assert len(list((tmp_path / "store" / "round").iterdir())) == rounds


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from /proc")
@pytest.mark.parametrize("place", ["disk", "minio"])
def test_200_mb_stream_in_bounded_memory(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    uri = str(tmp_path / "store") if place == "disk" else request.getfixturevalue("s3_uri")
    status, printed = run("big", uri)
    assert status == 0
    growth = json.loads(printed)
    assert growth["write"] < 100e6
    assert growth["rows"] < 100e6
    # On disk nothing is read before it is used; from S3 the array itself has to be there, but only once.
    assert growth["read"] < (100e6 if place == "disk" else 210e6 + 100e6)

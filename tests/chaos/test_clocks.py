"""Two hosts whose clocks are hours apart share a store: nothing goes by the time of day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from inception_loop.artifacts.lineage import manifests
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.upkeep import verify

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc"),
]
HOUR_S = 3600
SHIFTS = {"short": (HOUR_S,), "long": (HOUR_S, -HOUR_S)}
ELSEWHERE = Path(__file__).with_name("elsewhere.py")
OLD_S = 900.0
"""Older than anything that the tests make, younger than an hour."""


def elsewhere(shift_s: float, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a host whose clock is that much ahead."""
    return subprocess.run(
        [sys.executable, str(ELSEWHERE), str(shift_s), *words],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_two_hosts_an_hour_apart_compute_each_artifact_once(
    request,
    tmp_path: Path,
    start: Callable[..., Any],
    tiny: ModuleType,
    tiny_run: tuple[str, Any],
    prefect_api: str,
    books: ModuleType,
    told: Callable[[str], None],
) -> None:
    expected = tiny.contents(tiny_run[0])
    for shift in SHIFTS[request.config.getoption("--campaign")]:
        store, began = tmp_path / f"store{shift}", time.monotonic()
        workers = apart(shift, store, start, prefect_api, books)
        told(f"{shift:+d} s, artifacts by host: {sorted(workers.values())}, {time.monotonic() - began:.0f} s")
        assert tiny.contents(f"file://{store}") == expected


def apart(shift: int, store: Path, start: Callable[..., Any], api: str, books: ModuleType) -> Counter[str]:
    """Run the loop here and elsewhere at once; return how many artifacts each host has made."""
    uri = f"file://{store}"
    # Both trust a silent owner for two minutes, far less than the hour that lies between their clocks.
    runs = {
        "here": start(store, api, INCEPTION_LOOP_LEASE_TTL_S="120"),
        "elsewhere": start(
            store, api, program=(str(ELSEWHERE), str(shift)), INCEPTION_LOOP_LEASE_TTL_S="120"
        ),
    }
    assert runs["here"].wait_until(lambda: books.count(uri) >= 10), runs["here"].text()
    swept = elsewhere(shift, "sweep", str(OLD_S), INCEPTION_LOOP_STORE=uri)
    assert (swept.stdout, swept.returncode) == ("0", 0), swept.stderr
    for run in runs.values():
        assert run.finish() == 0, run.text()
    found = dict(manifests(open_store(uri)))
    workers = Counter(manifest.process.host for manifest in found.values())
    assert len(workers) == 2  # both had a part in it
    assert {manifest.lease_generation for manifest in found.values()} == {1}  # no live lease was taken over
    assert books.strays(open_store(uri)) == set()  # and no work was done that no manifest names
    assert verify(open_store(uri)).sound
    between = [
        (datetime.fromisoformat(made.started) - datetime.fromisoformat(read.finished)).total_seconds()
        for made in found.values()
        for read in map(found.get, refs_of(open_store(uri), made))
        if read is not None and read.process.host != made.process.host
    ]
    assert any(abs(seconds) > HOUR_S / 2 for seconds in between)  # their clocks were apart indeed
    return workers


def refs_of(store: Any, manifest: Any) -> list[Any]:
    """Return the artifacts that one was made from."""
    return [store.ref_of(record) for records in manifest.inputs.values() for record in records]


def test_an_object_store_that_refuses_a_wrong_clock_is_said_in_one_line(minio: Any, s3_uri: str) -> None:
    refused = elsewhere(HOUR_S, "store", "ls", "model", "--store", s3_uri)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "clock" in line
    assert "credentials" not in line
    assert minio.password not in line
    taken = elsewhere(60, "store", "ls", "model", "--json", "--store", s3_uri)
    assert json.loads(taken.stdout)["artifacts"] == []

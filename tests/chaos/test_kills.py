"""Killed anywhere and started again, a loop goes on at once and ends with the bytes of an undisturbed one."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.upkeep import sweep, verify

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc"),
]
KILLS = {"short": 1, "long": 10}
TRAINING = 17.0  # artifacts stand when networks begin to be trained
COMPUTED = re.compile(r"s  (\S+) +✓ (.+) \([0-9.]+ s\)$", re.MULTILINE)


def manifests(store: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in store.glob("[!_]*/**/manifest.json")]


def moments(count: int, artifacts: int, seed: int) -> list[float]:
    """Return after how many artifacts runs are killed; the fraction is a delay in s. One is in training."""
    rng = random.Random(seed)
    return sorted([TRAINING, *(rng.uniform(0, artifacts - 2) for _ in range(count - 1))])


def in_the_middle(store: Path, kind: str) -> set[str]:
    """Return the digests of a kind on which somebody holds the first lease, and works."""
    held = {path.parent for path in store.glob(f"_leases/{kind}/*/00000001.owner")}
    return {lease.name for lease in held if not (lease / "00000001.done").exists()}


def test_killed_at_random_moments_a_loop_goes_on_at_once_and_ends_as_if_undisturbed(
    request, tmp_path, start, tiny, tiny_run, prefect_api, told
) -> None:
    expected, store = tiny.contents(tiny_run[0]), tmp_path / "store"
    kills = KILLS[request.config.getoption("--campaign")]
    began, killed_at, held = time.monotonic(), [], set()
    for moment in moments(kills, len(expected), seed=kills):
        least = max(int(moment), len(manifests(store)) + 1)
        run = start(store, None if moment == TRAINING else prefect_api)  # one has a server of its own
        if moment == TRAINING:
            assert run.wait_until(lambda: bool(in_the_middle(store, "model"))), run.text()
        else:
            assert run.wait_until(lambda least=least: len(manifests(store)) >= least), run.text()
            time.sleep(moment % 1)
        run.kill()
        held |= in_the_middle(store, "model")
        killed_at.append(len(manifests(store)))
        assert verify(open_store(f"file://{store}")).sound
    assert held
    last = start(store, prefect_api)  # no lease of a dead run runs out while this test lasts
    assert last.finish() == 0, last.text()
    told(f"killed at {killed_at} of {len(expected)}, {time.monotonic() - began:.0f} s")
    assert {m["lease_generation"] > 1 for m in manifests(store) if m["digest"] in held} == {True}
    assert tiny.contents(f"file://{store}") == expected
    sweep(open_store(f"file://{store}"), older_than_s=-60)
    assert attempts(store) == named(store)
    assert tiny.contents(f"file://{store}") == expected
    assert verify(open_store(f"file://{store}")).sound


def attempts(store: Path) -> set[str]:
    """Return the attempt folders of a store on disk."""
    payloads = (path for path in store.glob("[!_]*/**/*") if path.is_file() and path.name != "manifest.json")
    return {str(path.parent.relative_to(store)) for path in payloads}


def named(store: Path) -> set[str]:
    """Return the attempt folders that a manifest names."""
    return {
        str(path.parent.relative_to(store) / json.loads(path.read_text())["attempt"])
        for path in store.glob("[!_]*/**/manifest.json")
    }


def test_two_runs_started_together_compute_each_artifact_once(
    tmp_path, start, tiny, tiny_run, prefect_api, told
) -> None:
    store = tmp_path / "store"
    runs = [start(store, prefect_api) for _ in range(2)]
    for run in runs:
        assert run.finish() == 0, run.text()
    assert tiny.contents(f"file://{store}") == tiny.contents(tiny_run[0])
    assert attempts(store) == named(store)  # no work was done that no manifest names
    workers = Counter((m["process"]["host"], m["process"]["pid"]) for m in manifests(store))
    assert {pid for _, pid in workers} <= {run.process.pid for run in runs}
    told(f"artifacts of either run: {sorted(workers.values())}")
    assert {m["lease_generation"] for m in manifests(store)} == {1}
    computed = Counter(step for run in runs for step in COMPUTED.findall(run.text()))
    days = {step for step in computed if step[1].startswith("recorded_day")}
    assert len(days) == 2  # two artifacts each, which the two runs may share
    assert {step: n for step, n in computed.items() if n > 1 and step not in days} == {}
    of_own_steps = [m for m in manifests(store) if m["kind"] != "scan_statistics"]  # made inside statistics
    assert len(computed.keys() - days) == len(of_own_steps) - 2 * len(days)

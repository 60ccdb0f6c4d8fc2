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
KILLS = {"short": 2, "long": 10}
COMPUTED = re.compile(r"s  (\S+) +✓ (.+) \([0-9.]+ s\)$", re.MULTILINE)


def manifests(store: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in store.glob("[!_]*/**/manifest.json")]


def moments(count: int, artifacts: int, seed: int) -> list[float]:
    """Return after how many artifacts a run is killed, the fraction being a delay in s; ascending."""
    rng = random.Random(seed)
    return sorted(rng.uniform(0, artifacts) for _ in range(count))


def in_the_middle(store: Path, kind: str) -> set[str]:
    """Return the digests of a kind on which somebody holds the first lease, and works."""
    held = {path.parent for path in store.glob(f"_leases/{kind}/*/00000001.owner")}
    return {lease.name for lease in held if not (lease / "00000001.done").exists()}


def test_killed_at_random_moments_a_loop_ends_as_if_undisturbed(
    request, tmp_path, start, tiny, tiny_run, prefect_api, record_property
) -> None:
    expected, store = tiny.contents(tiny_run[0]), tmp_path / "store"
    kills = KILLS[request.config.getoption("--campaign")]
    began = time.monotonic()
    killed_at = []
    for number, moment in enumerate(moments(kills, len(expected), seed=kills)):
        run = start(store, None if number == 0 else prefect_api)  # the first has a server of its own
        if run.wait_until(lambda moment=moment: len(manifests(store)) >= int(moment)):
            time.sleep(moment % 1)
        assert run.process.poll() is None, run.text()
        run.kill()
        killed_at.append(len(manifests(store)))
        assert verify(open_store(f"file://{store}")).sound
    last = start(store, prefect_api)
    assert last.finish() == 0, last.text()
    record_property("killed_at", killed_at)
    record_property("seconds", round(time.monotonic() - began, 1))
    assert tiny.contents(f"file://{store}") == expected
    assert verify(open_store(f"file://{store}")).sound


def test_killed_in_the_middle_of_training_the_next_run_waits_for_no_lease(
    tmp_path, start, tiny, tiny_run
) -> None:
    store = tmp_path / "store"
    run = start(store, None)
    assert run.wait_until(lambda: bool(in_the_middle(store, "model"))), run.text()
    run.kill()
    held = in_the_middle(store, "model")
    assert held
    again = start(store, None)
    assert again.finish() == 0, again.text()
    generations = {m["digest"]: m["lease_generation"] for m in manifests(store)}
    assert {generations[digest] for digest in held} == {2}
    assert tiny.contents(f"file://{store}") == tiny.contents(tiny_run[0])
    sweep(open_store(f"file://{store}"), older_than_s=-60)
    assert tiny.contents(f"file://{store}") == tiny.contents(tiny_run[0])
    assert attempts(store) == named(store)


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
    tmp_path, start, tiny, tiny_run, prefect_api, record_property
) -> None:
    store = tmp_path / "store"
    runs = [start(store, prefect_api) for _ in range(2)]
    for run in runs:
        assert run.finish() == 0, run.text()
    assert tiny.contents(f"file://{store}") == tiny.contents(tiny_run[0])
    assert attempts(store) == named(store)  # no work was done that no manifest names
    workers = Counter((m["process"]["host"], m["process"]["pid"]) for m in manifests(store))
    assert {pid for _, pid in workers} <= {run.process.pid for run in runs}
    record_property("artifacts", sorted(workers.values()))
    assert {m["lease_generation"] for m in manifests(store)} == {1}
    computed = Counter(step for run in runs for step in COMPUTED.findall(run.text()))
    days = {step for step in computed if step[1].startswith("recorded_day")}
    assert len(days) == 2  # two artifacts each, which the two runs may share
    assert {step: n for step, n in computed.items() if n > 1 and step not in days} == {}
    assert len(computed.keys() - days) == len(manifests(store)) - 2 * len(days)

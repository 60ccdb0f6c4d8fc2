"""What every place must guarantee: one class, run on memory, on disk and on a real MinIO."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.address import LEASES, MANIFEST
from inception_loop.artifacts.attempt import Attempt
from inception_loop.artifacts.lease import Clock, Lease, Owner, newest_generation, reserve
from inception_loop.artifacts.lineage import ancestors, descendants
from inception_loop.artifacts.listing import artifacts, page, resolve
from inception_loop.artifacts.npz import Blocks
from inception_loop.artifacts.provenance import this_process
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.soundness import faults
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.artifacts.transfer import copy
from inception_loop.artifacts.upkeep import sweep, take_back, verify, withdraw
from inception_loop.errors import (
    ArtifactCorruptError,
    ArtifactExistsError,
    ArtifactNotFoundError,
    ConfigurationError,
    DataError,
    ReservedError,
)
from inception_loop.settings import Settings

RACERS = 64


class Fast(Clock):
    """A waiter to whom time passes quickly, beginning anywhere."""

    def __new__(cls, start: float = 0.0, wall: float = 0.0) -> Fast:
        state = [start]

        def sleep(seconds: float) -> None:
            state[0] += seconds
            time.sleep(0.001)

        return super().__new__(cls, lambda: state[0], sleep, lambda: wall)


def race(racers: int, action: Callable[[int], Any], pool: ThreadPoolExecutor) -> list[Any]:
    """Run an action on all threads at the same moment and return what each returned."""
    barrier = threading.Barrier(racers)

    def run(index: int) -> Any:
        barrier.wait()
        return action(index)

    return list(pool.map(run, range(racers)))


def objects(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    return [entry.key for entry in store.backend.walk(store.key(ref))]


def owned_elsewhere(store: ArtifactStore, ref: ArtifactRef) -> str:
    """Put down a lease of a process on another machine and return the lease's folder."""
    folder = f"{LEASES}/{ref.kind}/{ref.digest}"
    process = this_process().model_copy(update={"host": "elsewhere", "boot": "another"})
    owner = Owner(token=uuid.uuid4().hex, process=process)
    store.backend.create(f"{folder}/00000001.owner", owner.model_dump_json().encode())
    return folder


class StoreConformance:
    """The laws. A subclass gives ``root``: the URI of an empty place."""

    @pytest.fixture
    def root(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, root: str, settings: Settings) -> ArtifactStore:
        return open_store(root, settings)

    # --- create-only ---

    def test_exactly_one_of_64_racing_writers_wins_100_times(self, store: ArtifactStore) -> None:
        backend = store.backend
        with ThreadPoolExecutor(RACERS) as pool:
            for number in range(100):
                key = f"races/{number % 7} ä/{number}"

                def write(racer: int, key: str = key, empty: bool = number % 10 == 9) -> bool:
                    try:
                        backend.create(key, b"" if empty else b"%d" % racer * 100, durable=racer % 2 == 0)
                    except ArtifactExistsError:
                        return False
                    return True

                wins = race(RACERS, write, pool)
                assert sum(wins) == 1
                winner = b"" if number % 10 == 9 else b"%d" % wins.index(True) * 100
                assert backend.read(key) == winner
        assert len(list(backend.walk("races"))) == 100  # no loser left anything

    def test_of_racing_computations_one_is_seen_and_the_others_leave_nothing(
        self, store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # No leases: everybody computes, as if all had been taken over.
        monkeypatch.setattr(
            store, "reserve", lambda ref, settled, wait: Lease(store.backend, f"x/{uuid.uuid4()}", 1, 300)
        )
        racers = 16
        barrier = threading.Barrier(racers)

        def compute(racer: int) -> Any:
            def build(attempt: Attempt) -> None:
                demo.noting(f"racer {racer}")(attempt)
                barrier.wait()

            return store.make(demo.kind, demo.config(name="race"), build)

        with ThreadPoolExecutor(racers) as pool:
            outcomes = list(pool.map(compute, range(racers)))
        assert [outcome.cached for outcome in outcomes].count(False) == 1
        winner = next(racer for racer, outcome in enumerate(outcomes) if not outcome.cached)
        ref = outcomes[0].ref
        assert store.file(ref, "note") == f"racer {winner}".encode()
        assert len(objects(store, ref)) == 4  # the manifest and the winner's three payloads

    # --- once ---

    def test_what_was_written_is_read(self, store: ArtifactStore, demo: Any) -> None:
        ref, cached = store.make(demo.kind, demo.config(name="a"), demo.build)
        assert not cached
        assert store.table(ref, "units").equals(demo.units())
        assert store.table(ref, "units")["response"].to_numpy().shape == (3, 4)
        frames = store.arrays(ref, "images")["frames"]
        np.testing.assert_array_equal(frames, demo.frames())
        assert not frames.flags.writeable
        np.testing.assert_array_equal(store.rows(ref, "images", "frames", 1, 2), demo.frames()[1:2])
        assert store.file(ref, "note") == "größer als".encode()

    def test_the_same_question_is_computed_once(self, store: ArtifactStore, demo: Any) -> None:
        first = store.make(demo.kind, demo.config(name="a"), demo.build)
        again = store.make(demo.kind, demo.config(name="a"), demo.build)
        assert again == (first.ref, True)
        assert store.ref(demo.kind, demo.config(name="a")) == first.ref
        other = store.make(demo.kind, demo.config(name="a", seed=2), demo.build)
        assert other.ref != first.ref
        assert len(demo.built) == 2

    def test_workers_that_ask_at_once_compute_once(self, root: str, settings: Settings, demo: Any) -> None:
        def slow(attempt: Attempt) -> None:
            time.sleep(0.2)
            demo.build(attempt)

        def ask(_: int) -> Any:
            return open_store(root, settings).make(demo.kind, demo.config(name="a"), slow)

        with ThreadPoolExecutor(8) as pool:
            outcomes = race(8, ask, pool)
        assert len(demo.built) == 1
        assert [outcome.cached for outcome in outcomes].count(False) == 1

    def test_the_manifest_says_what_it_is_made_of(self, store: ArtifactStore, demo: Any) -> None:
        part = store.make(demo.kind, demo.config(name="part"), demo.build).ref
        config = demo.config(name="whole", seed=7)
        ref = store.make(demo.kind, config, demo.build, {"one": part, "many": [part, part]}).ref
        manifest = store.manifest(ref)
        assert manifest.config == {"name": "whole", "seed": 7, "value": 0.5}
        assert manifest.question == {"name": "whole", "seed": 7}
        assert manifest.seed == 7
        assert manifest.findings == {"n_units": 3}
        hashes = {name: payload.sha256 for name, payload in store.manifest(part).payloads.items()}
        assert [record.payloads for record in manifest.inputs["many"]] == [hashes, hashes]
        assert store.inputs(ref) == {"one": [part], "many": [part, part]}
        assert manifest.payloads["units"].rows == 3
        assert manifest.payloads["images"].shapes == {"frames": [2, 2, 3]}
        assert {"numpy", "duckdb", "polars", "pyarrow", "torch", "inception-loop"} <= set(manifest.versions)
        assert manifest.process == this_process()
        assert datetime.fromisoformat(manifest.started) <= datetime.fromisoformat(manifest.finished)

    def test_equal_payloads_are_equal_bytes(
        self, store: ArtifactStore, memory_store: ArtifactStore, demo: Any
    ) -> None:
        refs = [one.make(demo.kind, demo.config(name="a"), demo.build).ref for one in (store, memory_store)]
        here, there = (one.manifest(ref) for one, ref in zip((store, memory_store), refs, strict=True))
        assert here.payloads == there.payloads

    def test_inputs_are_part_of_the_question(self, store: ArtifactStore, demo: Any) -> None:
        a, b = (store.make(demo.kind, demo.config(name=name), demo.build).ref for name in "ab")
        config = demo.config(name="c")
        questions = [{}, {"x": a}, {"x": b}, {"y": a}, {"x": [a, b]}, {"x": [b, a]}]
        assert len({store.ref(demo.kind, config, inputs).digest for inputs in questions}) == len(questions)

    def test_an_input_that_does_not_stand_is_refused_before_anything_is_computed(
        self, store: ArtifactStore, demo: Any
    ) -> None:
        absent = store.ref(demo.kind, demo.config(name="absent"))
        with pytest.raises(
            ArtifactNotFoundError, match=r"no artifact stands at .*; run the step that makes it"
        ):
            store.make(demo.kind, demo.config(name="a"), demo.build, {"x": absent})
        assert demo.built == []

    def test_a_reference_of_another_store_is_refused(self, store: ArtifactStore, demo: Any) -> None:
        foreign = ArtifactRef(kind="demo", digest="0" * 64, uri="memory://foreign/demo/" + "0" * 64)
        with pytest.raises(ConfigurationError, match="open the store that holds it"):
            store.manifest(foreign)

    # --- failures of a build ---

    def test_a_build_that_fails_leaves_nothing_and_can_be_repeated_at_once(
        self, store: ArtifactStore, demo: Any
    ) -> None:
        def fail(attempt: Attempt) -> None:
            demo.build(attempt)
            raise ArithmeticError("no luck")

        with pytest.raises(ArithmeticError, match="no luck"):
            store.make(demo.kind, demo.config(name="a"), fail)
        assert objects(store, store.ref(demo.kind, demo.config(name="a"))) == []
        assert not store.make(demo.kind, demo.config(name="a"), demo.build).cached

    def test_a_payload_that_fails_halfway_leaves_nothing(self, store: ArtifactStore, demo: Any) -> None:
        def blocks() -> Any:
            yield np.zeros((1, 2, 3), np.float32)
            raise ArithmeticError("no luck")

        def build(attempt: Attempt) -> None:
            attempt.write_arrays("images", {"frames": Blocks((2, 2, 3), "float32", blocks())})

        with pytest.raises(ArithmeticError, match="no luck"):
            store.make(demo.kind, demo.config(name="a"), build)
        assert objects(store, store.ref(demo.kind, demo.config(name="a"))) == []

    def test_a_build_that_forgets_a_payload_is_refused(self, store: ArtifactStore, demo: Any) -> None:
        with pytest.raises(
            DataError, match=r"ended without the payloads .*'units', 'images'.*write each of them"
        ):
            store.make(demo.kind, demo.config(name="a"), lambda attempt: attempt.write_file("note", b""))
        assert objects(store, store.ref(demo.kind, demo.config(name="a"))) == []

    # --- reservation ---

    def test_a_slow_owner_with_a_heartbeat_is_waited_for_whatever_the_clocks_say(
        self, root: str, demo: Any
    ) -> None:
        settings = Settings(lease_ttl_s=0.6)  # a heartbeat every 50 ms
        ahead = Clock(time.monotonic, time.sleep, lambda: time.time() + 86_400)
        behind = Clock(lambda: time.monotonic() + 1e6, time.sleep, lambda: 0.0)
        entered = threading.Event()

        def slow(attempt: Attempt) -> None:
            entered.set()
            time.sleep(1.5)  # more than two times to live
            demo.build(attempt)

        def ask(clock: Clock) -> Any:
            store = open_store(root, settings, clock=clock)
            return store.make(demo.kind, demo.config(name="a"), slow)

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, ahead)
            entered.wait()
            second = pool.submit(ask, behind)
            outcomes = [first.result(), second.result()]
        assert [outcome.cached for outcome in outcomes] == [False, True]
        assert len(demo.built) == 1

    def test_of_workers_that_do_not_wait_one_computes_and_the_others_are_told_or_hit(
        self, root: str, settings: Settings, demo: Any
    ) -> None:
        racers, told = 16, list[str]()

        def slow(attempt: Attempt) -> None:
            time.sleep(0.05)
            demo.build(attempt)

        with ThreadPoolExecutor(racers) as pool:
            for number in range(5):

                def ask(_: int, number: int = number) -> Any:
                    store = open_store(root, settings)
                    try:
                        return store.make(demo.kind, demo.config(name="a", seed=number), slow, wait=False)
                    except ReservedError as error:
                        told.append(str(error))
                        return None

                made = [outcome for outcome in race(racers, ask, pool) if outcome is not None]
                assert [outcome.cached for outcome in made].count(False) == 1
                assert ask(0).cached
        assert len(demo.built) == 5  # each was computed once
        assert told

    def test_who_does_not_wait_gets_what_stands_whoever_holds_its_lease(
        self, store: ArtifactStore, demo: Any
    ) -> None:
        config = demo.config(name="a")
        owned_elsewhere(store, store.ref(demo.kind, config))
        with pytest.raises(ReservedError, match="on elsewhere"):
            store.make(demo.kind, config, demo.build, wait=False)
        assert demo.built == []
        other = demo.config(name="b")
        made = store.make(demo.kind, other, demo.build, wait=False)
        owned_next = f"{LEASES}/{made.ref.kind}/{made.ref.digest}/00000002.owner"
        store.backend.create(owned_next, Owner(token="t", process=this_process()).model_dump_json().encode())
        assert store.make(demo.kind, other, demo.build, wait=False) == (made.ref, True)

    def test_of_the_claimants_of_an_expired_lease_one_gets_the_next_generation(
        self, store: ArtifactStore, demo: Any
    ) -> None:
        claimants = 2
        with ThreadPoolExecutor(claimants) as pool:
            for number in range(10):
                ref = store.ref(demo.kind, demo.config(name="a", seed=number))
                folder = owned_elsewhere(store, ref)
                over = threading.Event()

                def claim(_: int, folder: str = folder, over: threading.Event = over) -> Lease | None:
                    lease = reserve(store.backend, folder, 12.0, Fast(), over.is_set)
                    over.set()
                    return lease

                leases = [lease for lease in race(claimants, claim, pool) if lease is not None]
                assert [lease.number for lease in leases] == [2]
                newest = newest_generation(store.backend, folder)
                assert newest is not None
                assert (newest.number, newest.done) == (2, False)

    def test_an_owner_on_another_machine_is_trusted_for_a_whole_time_to_live(
        self, root: str, store: ArtifactStore, demo: Any
    ) -> None:
        owned_elsewhere(store, store.ref(demo.kind, demo.config(name="a")))
        clock = Fast(start=1e9)
        waiting = open_store(root, Settings(lease_ttl_s=50), clock=clock)
        assert not waiting.make(demo.kind, demo.config(name="a"), demo.build).cached
        assert 1e9 + 50 < clock.monotonic() < 1e9 + 60

    def test_a_late_owner_loses_politely(self, root: str, demo: Any) -> None:
        settings = Settings(lease_ttl_s=60)  # a heartbeat every 5 s, later than this test ends
        entered, go_on = threading.Event(), threading.Event()

        def stalled(attempt: Attempt) -> None:
            demo.noting("late")(attempt)
            entered.set()
            go_on.wait()

        with ThreadPoolExecutor(1) as pool:
            store = open_store(root, settings)
            late = pool.submit(store.make, demo.kind, demo.config(name="a"), stalled)
            entered.wait()
            # To the second worker a whole time to live passes in a moment.
            second = open_store(root, settings, clock=Fast())
            outcome = second.make(demo.kind, demo.config(name="a"), demo.noting("second"))
            before = second.backend.read(f"{second.key(outcome.ref)}/{MANIFEST}")
            go_on.set()
            assert late.result() == (outcome.ref, True)
        assert not outcome.cached
        assert second.backend.read(f"{second.key(outcome.ref)}/{MANIFEST}") == before
        assert store.file(outcome.ref, "note") == b"second"
        assert len(objects(store, outcome.ref)) == 4  # of the late attempt nothing is left
        assert store.manifest(outcome.ref).lease_generation == 2

    # --- damage ---

    def damage(
        self, store: ArtifactStore, ref: ArtifactRef, name: str, change: Callable[[bytes], bytes]
    ) -> None:
        manifest = store.manifest(ref)
        key = f"{store.key(ref)}/{manifest.attempt}/{manifest.payloads[name].object}"
        data = store.backend.read(key)
        assert data is not None
        store.backend.replace(key, change(data))

    @pytest.mark.parametrize("name", ["units", "images", "note"])
    def test_a_truncated_payload_is_named(self, store: ArtifactStore, demo: Any, name: str) -> None:
        ref = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        self.damage(store, ref, name, lambda data: data[:-1])
        read = {"units": store.table, "images": store.arrays, "note": store.file}[name]
        with pytest.raises(
            ArtifactCorruptError, match=rf"{name}\.\w+ has \d+ bytes; expected \d+ bytes; repair"
        ):
            read(ref, name)

    @pytest.mark.parametrize("name", ["units", "images", "note"])
    def test_a_flipped_bit_is_named(self, store: ArtifactStore, demo: Any, name: str) -> None:
        ref = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        self.damage(store, ref, name, lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
        read = {"units": store.table, "images": store.arrays, "note": store.file}[name]
        with pytest.raises(ArtifactCorruptError, match=rf"{name}\.\w+ (has the SHA-256|is not readable)"):
            read(ref, name)

    def test_a_damaged_manifest_is_never_a_hit(self, store: ArtifactStore, demo: Any) -> None:
        ref = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        key = f"{store.key(ref)}/{MANIFEST}"
        data = store.backend.read(key)
        assert data is not None
        for broken in (data.replace(b'"n_units": 3', b'"n_units": 4'), data[:100], b"", b"[1]", b"\xff"):
            store.backend.replace(key, broken)
            with pytest.raises(ArtifactCorruptError, match=r"not to be trusted .*repair the artifact"):
                store.make(demo.kind, demo.config(name="a"), demo.build)
        outcome = store.make(demo.kind, demo.config(name="a"), demo.build, repair=True)
        assert not outcome.cached
        assert faults(store, ref) == []

    def test_repair_replaces_what_is_unsound_and_says_so(self, store: ArtifactStore, demo: Any) -> None:
        ref = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        child = store.make(demo.kind, demo.config(name="child"), demo.build, {"x": ref}).ref
        grandchild = store.make(demo.kind, demo.config(name="grandchild"), demo.build, {"x": child}).ref
        assert verify(store).sound
        assert store.make(demo.kind, demo.config(name="a"), demo.build, repair=True).cached
        broken = store.manifest(ref)
        self.damage(store, ref, "note", lambda data: data[:-1] + b"?")
        found = verify(store)
        assert [fault.ref for fault in found.faults] == [ref]
        assert (found.checked, found.stale) == (3, [])

        outcome = store.make(demo.kind, demo.config(name="a"), demo.noting("other bytes"), repair=True)
        assert outcome == (ref, False)
        replaced = store.manifest(ref).replaces
        assert [one.attempt for one in replaced] == [broken.attempt]
        assert replaced[0].payloads["note"] == broken.payloads["note"].sha256
        assert "SHA-256" in replaced[0].reason
        found = verify(store, ref)
        assert found.faults == []
        assert {(link.child, link.state) for link in found.stale} == {
            (child, "other bytes"),
            (grandchild, "same bytes"),  # but made from something that was made from other bytes
        }
        assert verify(store).stale == found.stale or len(verify(store).stale) == 2

    def test_withdrawing_makes_the_next_run_compute_anew(self, store: ArtifactStore, demo: Any) -> None:
        ref = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        assert withdraw(store, ref) == []
        assert store.exists(ref)
        attempt = store.manifest(ref).attempt
        self.damage(store, ref, "units", lambda data: data[:-1])
        assert len(withdraw(store, ref)) == 1
        assert not store.exists(ref)
        assert not store.make(demo.kind, demo.config(name="a"), demo.build).cached
        assert [one.attempt for one in store.manifest(ref).replaces] == [attempt]

    def test_what_is_sound_is_taken_back_for_a_reason_if_nothing_was_made_from_it(
        self, store: ArtifactStore, demo: Any
    ) -> None:
        parent = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        child = store.make(demo.kind, demo.config(name="b"), demo.build, {"x": parent}).ref
        with pytest.raises(ConfigurationError, match="1 artifacts were made from it"):
            take_back(store, parent, "wrong")
        with pytest.raises(ConfigurationError, match="without a reason"):
            take_back(store, child, " ")
        attempt = store.manifest(child).attempt
        assert take_back(store, child, "asked too early")
        assert not store.exists(child)
        assert not take_back(store, child, "again")
        assert not store.make(demo.kind, demo.config(name="b"), demo.build, {"x": parent}).cached
        (replaced,) = store.manifest(child).replaces
        assert (replaced.attempt, replaced.reason) == (attempt, "asked too early")
        assert verify(store).sound

    def test_a_missing_payload_is_found_without_reading(self, store: ArtifactStore, demo: Any) -> None:
        ref = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        store.backend.remove([f"{store.key(ref)}/{store.manifest(ref).attempt}/note.txt"])
        found = verify(store, hashes=False)
        assert [fault.ref for fault in found.faults] == [ref]
        assert "note.txt is missing; expected" in found.faults[0].faults[0]

    # --- upkeep ---

    def test_a_sweep_removes_old_attempts_that_nobody_names_and_nothing_else(
        self, store: ArtifactStore, demo: Any
    ) -> None:
        ref = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        kept = set(objects(store, ref))
        orphans = [
            f"{store.key(ref)}/{'0' * 16}/units.parquet",
            f"demo/name=b/{'1' * 64}/{'2' * 16}/note.txt",
        ]
        for orphan in orphans:
            store.backend.create(orphan, b"left behind")
        assert sweep(store).keys == []  # a day has not passed
        assert set(orphans) <= set(sweep(store, older_than_s=-60, dry_run=True).keys)
        swept = sweep(store, older_than_s=-60)
        assert set(orphans) <= set(swept.keys)
        assert swept.size >= 2 * len(b"left behind")
        assert {entry.key for entry in store.backend.walk()} == kept  # the lease, which is done, went too
        assert verify(store).sound
        assert store.make(demo.kind, demo.config(name="a"), demo.build).cached

    def test_a_sweep_spares_an_attempt_under_a_live_lease(self, store: ArtifactStore, demo: Any) -> None:
        ref = store.ref(demo.kind, demo.config(name="a"))
        orphan = f"{store.key(ref)}/{'0' * 16}/units.parquet"
        store.backend.create(orphan, b"in the making")
        now = store.backend.now
        time.sleep(1.1)  # stamps are whole seconds on S3
        owned_elsewhere(store, ref)  # its heartbeat is younger than the attempt's payload
        age = now() - next(entry.modified for entry in store.backend.walk(orphan.rpartition("/")[0])) - 0.5
        assert sweep(store, older_than_s=age).keys == []

    def test_lineage_goes_both_ways(self, store: ArtifactStore, demo: Any) -> None:
        a, b = (store.make(demo.kind, demo.config(name=name), demo.build).ref for name in "ab")
        c = store.make(demo.kind, demo.config(name="c"), demo.build, {"left": a, "right": [a, b]}).ref
        d = store.make(demo.kind, demo.config(name="d"), demo.build, {"c": c, "a": a}).ref
        up = {(link.child, link.role, link.parent, link.depth) for link in ancestors(store, d)}
        assert up == {
            (d, "a", a, 1),
            (d, "c", c, 1),
            (c, "left", a, 2),
            (c, "right", a, 2),
            (c, "right", b, 2),
        }
        down = {(link.child, link.depth) for link in descendants(store, b)}
        assert down == {(c, 1), (d, 2)}
        assert {link.state for link in descendants(store, a)} == {"same bytes"}

    def test_a_listing_goes_by_pages_in_one_order(self, store: ArtifactStore, demo: Any) -> None:
        names = ["a", "a b", "ä", "a-b", "b/c", "ab"]
        refs = {store.make(demo.kind, demo.config(name=name), demo.build).ref for name in names}
        everything = [listed.ref for listed in artifacts(store)]
        assert set(everything) == refs
        assert everything == sorted(everything, key=lambda ref: f"{store.key(ref)}/".encode())
        paged: list[ArtifactRef] = []
        after = ""
        while True:
            found = page(store, "demo", after=after, limit=2)
            paged += [listed.ref for listed in found.artifacts]
            after = found.after
            if not after:
                break
        assert paged == everything
        assert [listed.partition for listed in page(store, "demo", "name=a b").artifacts] == ["name=a b"]
        assert page(store, "nothing").artifacts == []
        assert resolve(store, f"demo/{everything[0].digest[:20]}") == everything[0]
        assert resolve(store, everything[0].uri) == everything[0]
        with pytest.raises(ArtifactNotFoundError, match="means 6 artifacts"):
            resolve(store, "demo")

    def test_copies_take_what_they_are_made_from_along(
        self, store: ArtifactStore, memory_store: ArtifactStore, demo: Any
    ) -> None:
        a = store.make(demo.kind, demo.config(name="a"), demo.build).ref
        b = store.make(demo.kind, demo.config(name="b"), demo.build, {"x": a}).ref
        for source, target, cached in ((store, memory_store, False), (store, memory_store, True)):
            outcomes = copy(source, target, ref=b)
            assert [outcome.cached for outcome in outcomes] == [cached, cached]
        assert verify(memory_store).sound
        assert memory_store.make(demo.kind, demo.config(name="b"), demo.build, {"x": outcomes[0].ref}).cached
        back = copy(memory_store, store, outcomes[1].ref)
        assert [outcome.cached for outcome in back] == [True, True]

    def test_a_probe_finds_that_nothing_is_overwritten(self, store: ArtifactStore) -> None:
        assert store.probe()["create-only"] == "honoured"
        assert list(store.backend.walk()) == []

    # --- content ---

    @pytest.mark.parametrize(
        "name", ["two words", "größe", "日本", "a/b", "..", ".hidden", "50 %", "a?b#c*[d]", "-", "a=b"]
    )
    def test_keys_of_any_text(self, store: ArtifactStore, demo: Any, name: str) -> None:
        ref = store.make(demo.kind, demo.config(name=name), demo.build).ref
        assert store.table(ref, "units").height == 3
        assert store.make(demo.kind, demo.config(name=name), demo.build).cached
        assert [listed.ref for listed in artifacts(store)] == [ref]

    def test_an_empty_table_keeps_its_columns(self, store: ArtifactStore, demo: Any) -> None:
        def build(attempt: Attempt) -> None:
            attempt.write_table("units", demo.units(0))
            attempt.write_arrays("images", {"frames": np.zeros((0, 2, 3), np.float32)})
            attempt.write_file("note", b"")

        ref = store.make(demo.kind, demo.config(name="a"), build).ref
        table = store.table(ref, "units")
        assert table.height == 0
        assert table.schema == {"unit_id": pl.Int64, "label": pl.String, "response": pl.Array(pl.Float32, 4)}
        assert store.arrays(ref, "images")["frames"].shape == (0, 2, 3)
        assert store.file(ref, "note") == b""
        assert verify(store).sound

    def test_progress_reaches_who_asked(self, root: str, settings: Settings, demo: Any) -> None:
        heard: list[tuple[int, int, str]] = []
        store = open_store(root, settings, on_progress=lambda *what: heard.append(what))

        def build(attempt: Attempt) -> None:
            attempt.progress(1, 2, "half")
            demo.build(attempt)

        store.make(demo.kind, demo.config(name="a"), build)
        assert heard == [(1, 2, "half")]

    def test_a_manifest_is_readable_json(self, store: ArtifactStore, demo: Any) -> None:
        ref = store.make(demo.kind, demo.config(name="größe"), demo.build).ref
        text = (store.backend.read(f"{store.key(ref)}/{MANIFEST}") or b"").decode()
        assert json.loads(text)["config"]["name"] == "größe"
        assert '"größe"' in text


class TestMemory(StoreConformance):
    @pytest.fixture
    def root(self) -> str:
        return f"memory://{uuid.uuid4().hex}/a b"


class TestDisk(StoreConformance):
    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        return f"file://{tmp_path}/größe [1] 50%/store"

    def test_a_sweep_goes_by_the_clock_of_the_store(
        self, store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert_fresh_attempts_survive_a_wrong_clock(store, monkeypatch)

    def test_looking_makes_no_folder(self, root: str, settings: Settings) -> None:
        store = open_store(root, settings)
        assert page(store).artifacts == []
        assert not Path(root.removeprefix("file://")).exists()


class TestMinio(StoreConformance):
    @pytest.fixture
    def root(self, s3_uri: str) -> str:
        return f"{s3_uri}/größe x"

    def test_a_sweep_goes_by_the_clock_of_the_store(
        self, store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert_fresh_attempts_survive_a_wrong_clock(store, monkeypatch)


def assert_fresh_attempts_survive_a_wrong_clock(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.backend.create(f"demo/name=b/{'1' * 64}/{'2' * 16}/note.txt", b"in the making")
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 366 * 86_400)
    assert sweep(store, older_than_s=3600).keys == []

"""Leases: one owner at a time, as long as it shows that it lives."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import Any

import pytest

from inception_loop.artifacts.lease import Clock, Owner, is_held, newest_generation, reserve
from inception_loop.artifacts.memory import MemoryBackend
from inception_loop.artifacts.provenance import Process, this_process
from inception_loop.errors import ReservedError, TransientStoreError
from inception_loop.settings import HEARTBEATS_PER_TTL, Settings

FOLDER = "_leases/demo/x"


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(f"memory://{uuid.uuid4().hex}")


def never() -> bool:
    return False


def owned_by(backend: MemoryBackend, process: Process, number: int = 1) -> None:
    owner = Owner(token="t", process=process)
    backend.create(f"{FOLDER}/{number:08d}.owner", owner.model_dump_json().encode())


def impatient(seconds: float) -> Clock:
    """A clock on which nobody may wait."""

    def sleep(_: float) -> None:
        raise AssertionError("waited")

    return Clock(lambda: seconds, sleep, lambda: 0.0)


def test_a_time_to_live_is_at_least_ten_heartbeats() -> None:
    assert HEARTBEATS_PER_TTL >= 10
    assert Settings().lease_ttl_s / HEARTBEATS_PER_TTL == 10


def test_a_free_lease_is_claimed_at_once_and_released() -> None:
    backend = MemoryBackend(f"memory://{uuid.uuid4().hex}")
    for number in (1, 2, 3):
        lease = reserve(backend, FOLDER, 60, impatient(0), never)
        assert lease is not None
        with lease:
            assert lease.number == number
            assert is_held(backend, FOLDER)
        assert not is_held(backend, FOLDER)


def test_it_is_released_when_the_work_fails(backend: MemoryBackend) -> None:
    lease = reserve(backend, FOLDER, 60, impatient(0), never)
    assert lease is not None
    with pytest.raises(KeyboardInterrupt), lease:
        raise KeyboardInterrupt
    assert not is_held(backend, FOLDER)


def test_nothing_is_reserved_for_what_is_settled(backend: MemoryBackend) -> None:
    assert reserve(backend, FOLDER, 60, impatient(0), lambda: True) is None
    assert list(backend.walk()) == []


def test_a_dead_owner_on_this_machine_is_not_waited_for(backend: MemoryBackend) -> None:
    owned_by(backend, this_process().model_copy(update={"pid": 2**22 + 1}))
    lease = reserve(backend, FOLDER, 60, impatient(0), never)
    assert lease is not None
    assert lease.number == 2


def test_a_dead_owner_whose_pid_was_given_again_is_not_waited_for(backend: MemoryBackend) -> None:
    here = this_process()
    owned_by(backend, here.model_copy(update={"started": here.started - 1}))
    lease = reserve(backend, FOLDER, 60, impatient(0), never)
    assert lease is not None


def test_a_live_owner_is_waited_for(backend: MemoryBackend) -> None:
    owned_by(backend, this_process())
    with pytest.raises(AssertionError, match="waited"):
        reserve(backend, FOLDER, 60, impatient(0), never)


def test_a_process_does_not_wait_for_itself_where_the_store_did_not_take_its_mark(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = backend.create

    def refuse_marks(key: str, data: bytes, *, durable: bool = True) -> None:
        if key.endswith(".done"):
            raise TransientStoreError("no answer")
        create(key, data, durable=durable)

    monkeypatch.setattr(backend, "create", refuse_marks)
    for number in (1, 2, 3):
        lease = reserve(backend, FOLDER, 60, impatient(0), never)
        assert lease is not None
        with lease:
            assert lease.number == number
            with pytest.raises(ReservedError):  # as long as it works, it holds it
                reserve(backend, FOLDER, 60, impatient(0), never, wait=False)
        assert newest_generation(backend, FOLDER) == (number, False)


def test_a_process_does_not_wait_for_its_own_claim_whose_answer_got_lost(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = backend.create

    def lose_the_answer(key: str, data: bytes, *, durable: bool = True) -> None:
        create(key, data, durable=durable)
        raise TransientStoreError("no answer")

    monkeypatch.setattr(backend, "create", lose_the_answer)
    with pytest.raises(TransientStoreError):
        reserve(backend, FOLDER, 60, impatient(0), never)
    monkeypatch.undo()
    lease = reserve(backend, FOLDER, 60, impatient(0), never)
    assert lease is not None
    assert lease.number == 2


def test_who_does_not_wait_is_told_at_once_who_holds_it(backend: MemoryBackend) -> None:
    here = this_process()
    owned_by(backend, here)
    with pytest.raises(ReservedError, match=f"reserved by process {here.pid} on {here.host}; .*ask again"):
        reserve(backend, FOLDER, 60, impatient(0), never, wait=False)
    assert newest_generation(backend, FOLDER) == (1, False)


def test_who_does_not_wait_takes_over_what_is_certainly_dead_and_what_is_done(backend: MemoryBackend) -> None:
    owned_by(backend, this_process().model_copy(update={"pid": 2**22 + 1}))
    for number in (2, 3):
        lease = reserve(backend, FOLDER, 60, impatient(0), never, wait=False)
        assert lease is not None
        assert lease.number == number
        with lease:
            pass


def test_nobody_judges_a_silence_without_waiting_for_its_end(backend: MemoryBackend) -> None:
    owned_by(backend, this_process().model_copy(update={"host": "elsewhere", "boot": "another"}))
    for seconds in (0, 1e9):  # however late it is
        with pytest.raises(ReservedError, match="on elsewhere"):
            reserve(backend, FOLDER, 60, impatient(seconds), never, wait=False)


def test_a_claim_that_loses_its_race_does_not_wait_either(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = backend.create

    def too_late(key: str, data: bytes, *, durable: bool = True) -> None:
        if key.endswith(".owner"):
            owned_by_another(key)
        create(key, data, durable=durable)

    def owned_by_another(key: str) -> None:
        owner = Owner(token="t", process=this_process().model_copy(update={"host": "elsewhere"}))
        create(key, owner.model_dump_json().encode())

    monkeypatch.setattr(backend, "create", too_late)
    with pytest.raises(ReservedError, match="on elsewhere"):
        reserve(backend, FOLDER, 60, impatient(0), never, wait=False)


def test_the_heartbeat_is_heard_often_enough(backend: MemoryBackend) -> None:
    lease = reserve(backend, FOLDER, 0.6, Clock(), never)
    assert lease is not None
    heard: set[Any] = set()
    with lease:
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            heard.add(backend.read(f"{FOLDER}/00000001.beat"))
            time.sleep(0.005)
    assert len(heard) >= 8
    assert newest_generation(backend, FOLDER) == (1, True)


def test_each_heartbeat_gives_the_owner_a_whole_time_to_live_again(backend: MemoryBackend) -> None:
    owned_by(backend, this_process().model_copy(update={"host": "elsewhere", "boot": "another"}))
    now, beats = [1000.0], [0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if beats[0] < 5 and now[0] > 1000 + 50 * (beats[0] + 1):  # every 50 s of a time to live of 60 s
            beats[0] += 1
            backend.replace(f"{FOLDER}/00000001.beat", str(beats[0]).encode())

    lease = reserve(backend, FOLDER, 60, Clock(lambda: now[0], sleep, lambda: 0.0), never)
    assert lease is not None
    assert beats[0] == 5
    assert 1310 < now[0] < 1320


def test_a_heartbeat_that_gets_lost_is_told_and_not_the_end(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = threading.Event()

    def fail(key: str, data: bytes) -> None:
        tried.set()
        raise TransientStoreError("the store does not answer")

    lease = reserve(backend, FOLDER, 0.12, Clock(), never)
    assert lease is not None
    monkeypatch.setattr(backend, "replace", fail)
    with caplog.at_level(logging.WARNING), lease:
        assert tried.wait(5)
    assert "a heartbeat got lost: the store does not answer" in caplog.text
    assert not is_held(backend, FOLDER)


def test_a_damaged_owner_is_judged_by_its_silence(backend: MemoryBackend) -> None:
    backend.create(f"{FOLDER}/00000001.owner", b"{")
    now = [0.0]
    clock = Clock(lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds), lambda: 0.0)
    lease = reserve(backend, FOLDER, 60, clock, never)
    assert lease is not None
    assert now[0] > 60


def test_strange_objects_beside_the_generations_do_no_harm(backend: MemoryBackend) -> None:
    backend.create(f"{FOLDER}/.writing-0123", b"")
    assert newest_generation(backend, FOLDER) is None
    owned_by(backend, this_process(), number=12)
    assert newest_generation(backend, FOLDER) == (12, False)

"""One look at a time: what looks leave is cleared away, and one that died holds up nobody for ever."""

from __future__ import annotations

import os
import uuid

import pytest

from inception_loop.artifacts.lease import Clock
from inception_loop.artifacts.store import open_store
from inception_loop.recordings.arrivals.alone import KEPT_S, alone

FOLDER = "file:///arrivals"


def test_the_next_look_waits_and_begins_after_a_silence_as_long_as_a_lease_lives() -> None:
    store, waited, slept = open_store(f"memory://{uuid.uuid4().hex}"), [], []
    clock = Clock(monotonic=lambda: sum(slept), sleep=slept.append)
    abandoned = alone(store, FOLDER, lambda: waited.append("first"), clock)
    lease = abandoned.gen  # its process goes on without a sign of life, as one on another host may
    next(lease)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inception_loop.artifacts.lease._dead", lambda *_: False)
        with alone(store, FOLDER, lambda: waited.append("second"), clock):
            pass
    assert waited == ["second"]
    assert store.settings.lease_ttl_s < sum(slept) < 1.2 * store.settings.lease_ttl_s
    with alone(store, "file:///elsewhere", lambda: waited.append("third"), clock):
        pass
    assert waited == ["second"]
    lease.close()


def test_what_looks_leave_behind_is_gone_after_a_day(tmp_path) -> None:
    store = open_store(tmp_path.as_uri())
    for look in range(5):
        with alone(store, FOLDER, pytest.fail):
            left = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        if look == 2:
            for path in left:
                os.utime(path, (path.stat().st_mtime - KEPT_S - 60,) * 2)
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert [name for name in names if name.endswith("owner")] == ["00000004.owner", "00000005.owner"]

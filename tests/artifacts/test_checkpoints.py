from __future__ import annotations

import os

import numpy as np
import pytest

from inception_loop.artifacts.address import CHECKPOINTS
from inception_loop.artifacts.checkpoints import StoredCheckpoints
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import Attempt, open_store
from inception_loop.artifacts.upkeep import DAY_S, sweep, verify

STATE = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "course": np.array([1, 2]),
    "best": np.array(0.5),
}


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


@pytest.fixture
def ref(store, demo):
    return store.ref(demo.kind, demo.config(name="a"))


@pytest.fixture
def kept(store, ref):
    return StoredCheckpoints(store.backend, ref, "torch 1, 1 threads")


def objects(store):
    return [entry.key for entry in store.backend.walk(CHECKPOINTS)]


def test_what_was_saved_is_loaded_and_earlier_ones_are_dropped_on_demand(store, kept):
    for epoch in (0, 9, 10):
        kept.save(epoch, {**STATE, "course": np.array([epoch])})
    assert kept.epochs() == [10, 9, 0]
    loaded = kept.load(9)
    assert set(loaded) == set(STATE)
    assert loaded["course"].tolist() == [9]
    np.testing.assert_array_equal(loaded["weights"], STATE["weights"])
    kept.drop(before=10)
    assert kept.epochs() == [10]
    kept.drop()
    assert objects(store) == []


def test_the_same_state_is_one_object(store, kept):
    kept.save(1, STATE)
    kept.save(1, STATE)
    assert len(objects(store)) == 1


@pytest.mark.parametrize("cut", [0, 1, 700, -1])
def test_a_checkpoint_cut_short_is_left_aside_with_one_line(store, kept, cut, caplog):
    kept.save(1, STATE)
    (key,) = objects(store)
    path = store.backend.local_path(key)
    path.write_bytes(path.read_bytes()[:cut])
    assert kept.load(1) is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert key in line
    assert "is cut short or damaged" in line
    assert "\n" not in line
    kept.save(1, STATE)
    assert kept.load(1) is not None


def test_a_changed_bit_is_noticed(store, kept):
    kept.save(1, STATE)
    (key,) = objects(store)
    data = bytearray(store.backend.read(key))
    data[-200] ^= 1
    store.backend.replace(key, bytes(data))
    assert kept.load(1) is None


@pytest.mark.parametrize("circumstances", ["torch 2, 1 threads", "torch 1, 2 threads"])
def test_another_torch_or_number_of_threads_begins_anew_and_says_so(store, ref, kept, circumstances, caplog):
    kept.save(1, STATE)
    other = StoredCheckpoints(store.backend, ref, circumstances)
    assert other.load(1) is None
    assert f"expected {ref.kind}/{ref.digest}, {circumstances}" in caplog.text


def test_a_checkpoint_moved_to_another_artifact_is_left_aside(store, demo, kept):
    kept.save(1, STATE)
    (key,) = objects(store)
    another = store.ref(demo.kind, demo.config(name="b"))
    own = store.ref(demo.kind, demo.config(name="a"))
    store.backend.create(key.replace(own.digest, another.digest), store.backend.read(key))
    assert StoredCheckpoints(store.backend, another, "torch 1, 1 threads").load(1) is None


def test_they_are_gone_once_the_artifact_is_committed_and_stay_when_it_fails(store, demo):
    config = demo.config(name="a")

    def fails(attempt: Attempt) -> None:
        attempt.checkpoints("torch 1").save(3, STATE)
        raise RuntimeError("cut short")

    def ends(attempt: Attempt) -> None:
        assert attempt.checkpoints("torch 1").epochs() == [3]
        demo.build(attempt)

    with pytest.raises(RuntimeError):
        store.make(demo.kind, config, fails)
    assert len(objects(store)) == 1
    store.make(demo.kind, config, ends)
    assert objects(store) == []


def test_verifying_and_listing_do_not_see_them(store, demo, kept):
    made = store.make(demo.kind, demo.config(name="b"), demo.build).ref
    kept.save(1, STATE)
    assert [listed.ref for listed in artifacts(store)] == [made]
    checked = verify(store)
    assert (checked.checked, checked.sound) == (1, True)


def test_a_sweep_removes_those_that_nobody_went_on_from_for_a_day(store, kept):
    kept.save(1, STATE)
    assert sweep(store).keys == []
    grow_old(store)
    left = objects(store)
    assert sweep(store).keys == left
    assert objects(store) == []


def test_a_sweep_spares_old_ones_of_a_worker_that_gave_a_sign_of_life(store, ref, kept):
    kept.save(1, STATE)
    with store.reserve(ref, lambda: False):
        grow_old(store)
        assert sweep(store).keys == []
    assert objects(store)
    sweep(store)
    assert objects(store) == []


def test_the_file_is_a_plain_npz(store, kept):
    kept.save(1, STATE)
    (key,) = objects(store)
    with np.load(store.backend.local_path(key), allow_pickle=False) as arrays:
        assert set(arrays.files) == {*STATE, "written_by"}


def grow_old(store):
    for key in objects(store):
        os.utime(store.backend.local_path(key), (0, store.backend.now() - 2 * DAY_S))

"""When a recording is at rest: every order of looks, changes and clocks that two looks can have."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.artifacts.places import backend_of
from inception_loop.recordings.arrivals.looks import Seen, folder_key, load_looks, looked, save_looks

SETTLE_S = 60.0
STEPS = st.tuples(st.sampled_from(["", "a", "b"]), st.floats(-100, 200))
"""What a recording looks like (nothing: a file of it is being written), and s since the look before."""


@given(st.lists(STEPS, min_size=1, max_size=12))
def test_at_rest_is_what_looked_the_same_for_the_whole_time(steps) -> None:
    """Against the whole history: when the state of the last look was first seen."""
    seen, now, history = {}, 1000.0, []
    for signature, later in steps:
        now += later
        history.append((signature, now))
        seen, ready = looked(seen, {"x": signature}, now, SETTLE_S)
        assert bool(ready) == (signature != "" and now - _since(history) >= SETTLE_S)


def _since(history) -> float:
    """Return when the last look's state was first seen, anew whenever the clock fell behind that."""
    since, last = None, None
    for signature, now in history:
        since = now if signature != last or now < since else since
        last = signature
    return since


def test_one_look_is_never_enough_but_where_nothing_is_asked() -> None:
    assert looked({}, {"x": "a"}, 1e9, SETTLE_S)[1] == ()
    assert looked({}, {"x": "a"}, 1e9, 0.0)[1] == ("x",)
    assert looked({}, {"x": ""}, 1e9, 0.0)[1] == ()


@pytest.mark.parametrize(
    ("fate", "again"),
    [
        ("imported", False),
        ("already there", False),
        ("other bytes", False),
        ("waiting", True),
        ("failed", True),
        ("quarantined", True),
    ],
)
def test_what_has_become_of_a_recording_stays_until_it_changes(fate, again) -> None:
    seen = {"x": Seen(signature="a", since=0.0, fate=fate)}
    assert looked(seen, {"x": "a"}, 100.0, SETTLE_S)[1] == (("x",) if again else ())
    after, ready = looked(seen, {"x": "b"}, 100.0, SETTLE_S)
    assert (after["x"].fate, after["x"].since, ready) == ("waiting", 100.0, ())


def test_what_is_gone_and_settled_is_known_when_it_comes_back() -> None:
    """A folder that is not mounted for a while is no reason to tell of everything in it again."""
    seen = {"x": Seen(signature="a", since=0.0, fate="imported"), "y": Seen(signature="a", since=0.0)}
    gone, _ = looked(seen, {}, 100.0, SETTLE_S)
    assert set(gone) == {"x"}
    assert looked(gone, {"x": "a"}, 200.0, 0.0)[1] == ()


def test_what_is_remembered_is_that_of_its_folder_and_survives_damage() -> None:
    backend = backend_of(f"memory://{uuid.uuid4().hex}")
    seen = {"x": Seen(signature="a", since=1.5, fate="imported", recording="memory://s/recording/1")}
    save_looks(backend, "file:///a", seen)
    assert load_looks(backend, "file:///a") == seen
    assert load_looks(backend, "file:///b") == {}
    key = f"{folder_key('file:///a')}/looks.json"
    assert key.startswith("_")
    whole = backend.read(key)
    for damaged in (b"", b"[1]", whole[:-7], json.dumps({"format": 2, "names": {}}).encode()):
        backend.replace(key, damaged)
        assert load_looks(backend, "file:///a") == {}


def test_what_fails_is_left_alone_twice_as_long_each_time_and_a_change_begins_anew() -> None:
    seen, minutes = {"a": Seen(signature="x", since=0.0)}, []
    for minute in range(0, 1500, 5):
        seen, ready = looked(seen, {"a": "x"}, 60.0 * minute, 0.0, patient=True)
        if ready:
            minutes.append(minute)
            seen["a"] = seen["a"].failed("full", 60.0 * minute)
    assert minutes == [0, 5, 15, 35, 70, 135, 265, 505, 745, 985, 1225, 1465]
    assert looked(seen, {"a": "x"}, 60.0 * 1470, 0.0)[1] == ("a",)  # who asks for it gets it
    assert looked(seen, {"a": "y"}, 60.0 * 1470, 0.0, patient=True)[1] == ("a",)
    assert looked(seen, {"a": "x"}, 60.0, 0.0, patient=True)[1] == ("a",)  # the clock was put back

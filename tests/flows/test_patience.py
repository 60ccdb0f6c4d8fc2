"""A stage waits for a server that is away, as long as a run does, and for nothing else."""

from __future__ import annotations

import httpx
import pytest

from flows import _patience
from flows._patience import PATIENCE_S, patiently


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by sleeping alone."""
    clock = type("Clock", (), {"now": 0.0})
    monkeypatch.setattr(_patience.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(_patience.time, "sleep", lambda s: setattr(clock, "now", clock.now + s))
    return clock


def failing(times: int, error: Exception):
    """Function that fails so often, then returns how often it was called."""
    calls: list[int] = []

    def begin() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return begin


def test_it_begins_once_the_server_is_back_and_says_so_once(clock, monkeypatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(_patience, "say", lambda stage, text: said.append(stage))
    assert patiently("train", failing(5, httpx.ConnectError("refused"))) == 6
    assert said == ["train"]
    assert 0 < clock.now < PATIENCE_S


def test_it_gives_up_after_as_long_as_a_run_waits(clock) -> None:
    with pytest.raises(httpx.ConnectError, match="refused"):
        patiently("train", failing(10_000, httpx.ConnectError("refused")))
    assert PATIENCE_S < clock.now < 1.1 * PATIENCE_S


def test_what_is_wrong_otherwise_is_not_tried_again(clock) -> None:
    with pytest.raises(ValueError, match="wrong"):
        patiently("train", failing(1, ValueError("wrong")))
    assert clock.now == 0.0

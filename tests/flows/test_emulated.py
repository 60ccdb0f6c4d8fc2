"""Whoever asks for a precision that the machine emulates is told."""

import pytest

from flows._emulated import warn_if_emulated
from flows.observing import listening


@pytest.mark.parametrize(
    ("asked", "has", "told"),
    [("bfloat16", "float32", 1), ("bfloat16", "bfloat16", 0), ("float32", "float32", 0)],
)
def test_bfloat16_is_warned_of_where_it_is_slow(monkeypatch, asked, has, told):
    said = []
    monkeypatch.setenv("INCEPTION_LOOP_STORE", "memory://emulated")
    monkeypatch.setattr("flows._emulated.fastest_precision", lambda device: has)
    with listening(lambda event: said.append(event.text)):
        warn_if_emulated("train", {asked})
    assert len([text for text in said if "cpu of this machine emulates" in text]) == told

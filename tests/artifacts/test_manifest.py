"""Manifests: readable, and not a bit of one can change unnoticed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.artifacts.manifest import Manifest, Payload, Replaced, decode, encode
from inception_loop.artifacts.provenance import Process
from inception_loop.errors import ArtifactCorruptError

EXAMPLE = Manifest(
    kind="demo",
    version=1,
    digest="0" * 64,
    attempt="a" * 16,
    config={"name": "größe", "rate": 1e-7},
    question={"name": "größe"},
    inputs={},
    payloads={
        "t": Payload(object="t.parquet", form="table", schema_version=1, size=3, sha256="b" * 64, rows=1)
    },
    findings={"dropped": 2},
    seed=None,
    device="cpu",
    threads=1,
    versions={"numpy": "2"},
    process=Process(host="h", boot="b", pid_namespace="p", pid=1, started=2),
    lease_generation=1,
    started="2026-01-01T00:00:00+00:00",
    finished="2026-01-01T00:00:01+00:00",
    seconds=1.0,
    replaces=[Replaced(attempt="b" * 16, reason="r", payloads={})],
)


def test_what_is_encoded_is_decoded() -> None:
    assert decode(encode(EXAMPLE), "x") == EXAMPLE


@settings(max_examples=300)
@given(st.integers(0, 8 * len(encode(EXAMPLE)) - 1))
def test_any_flipped_bit_is_noticed(bit: int) -> None:
    data = bytearray(encode(EXAMPLE))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ArtifactCorruptError, match="the manifest x is not to be trusted"):
        decode(bytes(data), "x")


@given(st.integers(0, len(encode(EXAMPLE)) - 1))
def test_any_truncation_is_noticed(length: int) -> None:
    with pytest.raises(ArtifactCorruptError, match="not to be trusted"):
        decode(encode(EXAMPLE)[:length], "x")


def test_a_newer_project_may_say_more_but_not_in_a_newer_format() -> None:
    class Newer(Manifest):
        weather: str = "fine"

    more: Any = Newer(**EXAMPLE.model_dump())
    assert decode(encode(more), "x") == EXAMPLE
    with pytest.raises(ArtifactCorruptError, match="format 2 is newer than 1"):
        decode(encode(EXAMPLE.model_copy(update={"format": 2})), "x")


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": "../../outside"},
        {"digest": "../" + "0" * 61},
        {"kind": "../demo"},
        {"payloads": {"t": EXAMPLE.payloads["t"].model_copy(update={"object": "../t.parquet"})}},
        {"payloads": {"t": EXAMPLE.payloads["t"].model_copy(update={"object": "/etc/hostname"})}},
    ],
    ids=["attempt", "digest", "kind", "payload", "absolute payload"],
)
def test_a_name_that_leads_elsewhere_is_refused_however_well_the_manifest_is_signed(change: Any) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"not to be trusted \(it lacks or misspells a field\)"):
        decode(encode(EXAMPLE.model_copy(update=change)), "x")


@pytest.mark.parametrize("nested", [b"[" * 200_000, b'{"a":' * 200_000])
def test_endless_nesting_is_one_line(nested: bytes) -> None:
    with pytest.raises(ArtifactCorruptError, match="not to be trusted") as caught:
        decode(nested, "x")
    assert "\n" not in str(caught.value)

"""Addresses: readable, pure functions of the question, safe on every place."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.artifacts.address import digest_of, folder_of, listed, plain
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, SCAN, Kind
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import ConfigurationError


class Scan(Config):
    animal_id: int
    session: int
    scan_idx: int


class Ingest(Config):
    scan: Scan


@given(st.text(min_size=1))
def test_a_level_keeps_the_text_and_nothing_divides_or_expands_it(text: str) -> None:
    level = plain(text)
    assert unquote(level) == text
    assert not set(level) & set('/\\?*[]#:"<>|\x00\n')
    assert level not in (".", "..")


def test_the_partition_is_readable() -> None:
    kind = Kind("frame", 1, "m", {}, partition=SCAN)
    config = Ingest(scan=Scan(animal_id=20457, session=5, scan_idx=9))
    digest = digest_of(kind, config, {})
    assert folder_of(kind, config, digest) == f"frame/animal_id=20457/session=5/scan_idx=9/{digest}"


def test_a_configuration_without_a_field_of_the_partition_is_refused() -> None:
    config, kind = Ingest(scan=Scan(animal_id=1, session=1, scan_idx=1)), Kind("frame", 1, "m", {}, LOOP)
    with pytest.raises(
        ConfigurationError, match="Ingest of kind 'frame' has no field 'loop_group'; expected"
    ):
        folder_of(kind, config, "0" * 64)


def test_a_single_input_is_a_list_of_one() -> None:
    ref = ArtifactRef(kind="a", digest="0" * 64, uri="memory://s/a")
    inputs: Any = {"b": [ref, ref], "a": ref}
    assert listed(inputs) == {"a": [ref], "b": [ref, ref]}
    assert list(listed(inputs)) == ["a", "b"]


def test_a_mapping_in_place_of_a_configuration_is_refused_in_words() -> None:
    kind = Kind("frame", 1, "m", {}, partition=SCAN)
    with pytest.raises(ConfigurationError, match="kind 'frame' is a dict; expected a Config"):
        folder_of(kind, {"scan": None}, "d")  # type: ignore[arg-type]

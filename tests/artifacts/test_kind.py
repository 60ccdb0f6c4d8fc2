"""Declarations that cannot be meant are refused where they are made."""

from __future__ import annotations

import pyarrow as pa
import pytest

from inception_loop.artifacts.kind import CATALOGUE, Arrays, Column, File, Kind, Table, upgraded
from inception_loop.errors import ArtifactCorruptError, ConfigurationError


@pytest.mark.parametrize("name", ["Frame", "static scan", "_leases", "", "a-b", "1a"])
def test_names_are_snake_case(name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected snake_case"):
        Kind(name, 1, "m", {})
    with pytest.raises(ConfigurationError, match="expected snake_case"):
        Kind("good", 1, "m", {name: File(".txt", "m")})


def test_a_declared_kind_is_in_the_catalogue() -> None:
    kind = Kind("catalogued", 1, "m", {})
    assert CATALOGUE["catalogued"] is kind


def test_every_older_version_needs_an_upgrade() -> None:
    with pytest.raises(
        ConfigurationError, match=r"declares upgrades from \[2\]; expected one from each of \[1, 2\]"
    ):
        Table({"a": Column(pa.int64(), "m")}, version=3, upgrades={2: lambda table: table})
    with pytest.raises(ConfigurationError, match=r"expected one from each of \[1\]"):
        Arrays(None, version=2)


def test_upgrades_are_applied_one_after_the_other() -> None:
    declared = Arrays(None, version=3, upgrades={1: lambda a: {"b": a["a"]}, 2: lambda a: {"c": a["b"]}})
    assert upgraded({"a": 1}, declared, 1, "x") == {"c": 1}  # type: ignore[type-var]
    assert upgraded({"b": 1}, declared, 2, "x") == {"c": 1}  # type: ignore[type-var]
    assert upgraded({"c": 1}, declared, 3, "x") == {"c": 1}  # type: ignore[type-var]
    with pytest.raises(
        ArtifactCorruptError, match=r"has schema version 4; expected at most 3.*update the project"
    ):
        upgraded({}, declared, 4, "x")

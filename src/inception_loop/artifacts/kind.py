"""Declarations: what an artifact kind is, which payloads it has and what every column means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy.typing as npt
import pyarrow as pa

from inception_loop.errors import ArtifactCorruptError, ConfigurationError

Bundle = dict[str, npt.NDArray[Any]]
V = TypeVar("V", pa.Table, Bundle)
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Column:
    """One column of a table: its Arrow type and, in words, its meaning and unit.

    The type ``VECTOR`` stands for ``FixedSizeList<float32>`` of a width that is known only when the table
    is written (one value a unit).
    """

    type: pa.DataType
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A Parquet payload: its columns in order, its schema version, how older versions are read.

    ``upgrades[v]`` turns a table of version ``v`` into one of version ``v + 1``.
    """

    columns: Mapping[str, Column]
    version: int = 1
    upgrades: Mapping[int, Callable[[pa.Table], pa.Table]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_upgrades(self.version, self.upgrades)


@dataclass(frozen=True)
class Array:
    """One member of an NPZ payload: dtype, named dimensions and meaning (with unit).

    ``dtype`` may allow several, as ``"uint8 or float32"``.
    """

    dtype: str
    dims: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Arrays:
    """An NPZ payload (stored members, never pickled). ``members=None`` declares free member names.

    ``upgrades[v]`` turns the members of version ``v`` into those of version ``v + 1``.
    """

    members: Mapping[str, Array] | None
    version: int = 1
    meaning: str = ""
    upgrades: Mapping[int, Callable[[Bundle], Bundle]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_upgrades(self.version, self.upgrades)


@dataclass(frozen=True)
class File:
    """Any other payload, written as bytes: an HTML page, a picture."""

    suffix: str
    meaning: str


@dataclass(frozen=True)
class Kind:
    """An artifact kind: the field's name in snake_case, its step version and its payloads.

    Declaring a kind enters it into the `CATALOGUE`.

    Parameters
    ----------
    name
        snake_case name of the system, as in the field.
    version
        Step version, bumped by hand whenever the rule of the step changes its result.
    meaning
        One sentence for the catalogue.
    payloads
        Payload name → `Table`, `Arrays` or `File`; the object is ``name.parquet``, ``name.npz`` or
        ``name`` + suffix.
    partition
        Dotted names of the configuration fields that form the readable part of the address.

    Raises
    ------
    ConfigurationError
        If the name of the kind or of a payload is not snake_case.
    """

    name: str
    version: int
    meaning: str
    payloads: Mapping[str, Table | Arrays | File]
    partition: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.name, *self.payloads):
            if not _SNAKE_CASE.fullmatch(name):
                raise ConfigurationError(
                    f"a kind or payload is called {name!r}; expected snake_case such as 'static_scan'"
                )
        CATALOGUE[self.name] = self


# Every kind that this process has declared: how a reader finds the schema of an artifact from its reference.
CATALOGUE: dict[str, Kind] = {}


def upgraded(value: V, declared: Table | Arrays, version: int, where: str) -> V:
    """Lift a table or bundle from the schema version that it was written in to the declared one.

    Raises
    ------
    ArtifactCorruptError
        If a newer version of the project wrote it.
    """
    if version > declared.version:
        raise ArtifactCorruptError(
            f"{where} has schema version {version}; expected at most {declared.version}, "
            "which this version of the project reads; update the project"
        )
    upgrades: Mapping[int, Callable[[Any], Any]] = declared.upgrades
    for step in range(version, declared.version):
        value = upgrades[step](value)
    return value


def _check_upgrades(version: int, upgrades: Mapping[int, object]) -> None:
    if sorted(upgrades) != list(range(1, version)):
        raise ConfigurationError(
            f"a schema of version {version} declares upgrades from {sorted(upgrades)}; "
            f"expected one from each of {list(range(1, version))}"
        )


SCAN = ("scan.animal_id", "scan.session", "scan.scan_idx")
GROUP = ("group_id",)
LOOP = ("loop_group",)
VECTOR = pa.list_(pa.float32())

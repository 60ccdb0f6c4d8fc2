"""Declarations: what an artifact kind is, which payloads it has and what every column means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import pyarrow as pa

Bundle = dict[str, npt.NDArray[Any]]


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


@dataclass(frozen=True)
class Array:
    """One member of an NPZ payload: dtype, named dimensions and meaning (with unit)."""

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


@dataclass(frozen=True)
class File:
    """Any other payload, written as bytes: an HTML page, a picture."""

    suffix: str
    meaning: str


@dataclass(frozen=True)
class Kind:
    """An artifact kind: the field's name in snake_case, its step version and its payloads.

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
    """

    name: str
    version: int
    meaning: str
    payloads: Mapping[str, Table | Arrays | File]
    partition: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        CATALOGUE[self.name] = self


# Every kind that this process has declared: how a reader finds the schema of an artifact from its reference.
CATALOGUE: dict[str, Kind] = {}

SCAN = ("scan.animal_id", "scan.session", "scan.scan_idx")
GROUP = ("group_id",)
LOOP = ("loop_group",)
VECTOR = pa.list_(pa.float32())

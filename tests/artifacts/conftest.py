"""A small kind with every form of payload, and a store on each place."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import VECTOR, Array, Arrays, Column, File, Kind, Table
from inception_loop.artifacts.store import ArtifactStore, Attempt, open_store
from inception_loop.settings import Settings


class DemoConfig(Config):
    """A question with a readable part."""

    name: str
    seed: int = 1
    value: float = 0.5


DEMO = Kind(
    name="demo",
    version=1,
    meaning="A payload of every form.",
    payloads={
        "units": Table(
            {
                "unit_id": Column(pa.int64(), "Number of the unit."),
                "label": Column(pa.string(), "A text.", nullable=True),
                "response": Column(VECTOR, "Responses, one an image."),
            }
        ),
        "images": Arrays({"frames": Array("float32", ("image", "row", "column"), "Grey levels 0..255.")}),
        "note": File(".txt", "A text."),
    },
    partition=("name",),
)


@dataclass
class Demo:
    """How the tests make an artifact: counts how often it is really computed."""

    kind: Kind = DEMO
    config: type[DemoConfig] = DemoConfig
    built: list[str] = field(default_factory=list)

    def units(self, rows: int = 3) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "unit_id": np.arange(rows),
                "label": [f"unit {row}" if row % 2 else None for row in range(rows)],
                "response": np.arange(rows * 4, dtype=np.float32).reshape(rows, 4),
            },
            schema={"unit_id": pl.Int64, "label": pl.String, "response": pl.Array(pl.Float32, 4)},
        )

    def frames(self, images: int = 2) -> Any:
        return np.arange(images * 6, dtype=np.float32).reshape(images, 2, 3)

    def build(self, attempt: Attempt) -> None:
        self.built.append(attempt.name)
        attempt.write_table("units", self.units())
        attempt.write_arrays("images", {"frames": self.frames()})
        attempt.write_file("note", "größer als".encode())
        attempt.report(n_units=3)

    def noting(self, text: str) -> Callable[[Attempt], None]:
        """Return a build whose note tells who wrote it."""

        def build(attempt: Attempt) -> None:
            self.built.append(attempt.name)
            attempt.write_table("units", self.units())
            attempt.write_arrays("images", {"frames": self.frames()})
            attempt.write_file("note", text.encode())

        return build


@pytest.fixture
def demo() -> Demo:
    return Demo()


@pytest.fixture
def settings() -> Settings:
    """A lease that is trusted for longer than any test runs."""
    return Settings(store="memory://unused", lease_ttl_s=300)


@pytest.fixture
def memory_store(settings: Settings) -> ArtifactStore:
    return open_store(f"memory://{uuid.uuid4().hex}", settings)


@pytest.fixture
def disk_store(tmp_path: Path, settings: Settings) -> ArtifactStore:
    return open_store(str(tmp_path / "store"), settings)

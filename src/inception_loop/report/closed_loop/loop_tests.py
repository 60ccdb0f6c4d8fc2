"""The tests of a loop as a report shows them: over units, unit by unit, and what the next loop would need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.loop_tests import POWER_SCHEMA
from inception_loop.closed_loop.statistics.table_of_tests import SCHEMA

PANEL = "panel_complex"
"""Beginning of the keys of tests of the truth panel."""

NO_TESTS = pl.DataFrame(schema=SCHEMA)
NO_POWER = pl.DataFrame(schema=POWER_SCHEMA)
NO_UNIT_TESTS = pl.DataFrame(
    schema={
        "control": pl.String,
        "source_unit_id": pl.Int64,
        "n_own": pl.Int64,
        "n_control": pl.Int64,
        "difference": pl.Float64,
        "p_value": pl.Float64,
        "q_value": pl.Float64,
        "p_smallest": pl.Float64,
        "method": pl.String,
        "reason": pl.String,
    }
)


@dataclass(frozen=True)
class LoopTests:
    """The statistics of a loop; empty tables of a loop that was made without them.

    Attributes
    ----------
    tests : rows of the table of tests, see `table_of_tests`
    unit_tests : each unit's own test, by control
    power : of the next experiment, see `power_table`
    """

    tests: pl.DataFrame = field(default_factory=lambda: NO_TESTS)
    unit_tests: pl.DataFrame = field(default_factory=lambda: NO_UNIT_TESTS)
    power: pl.DataFrame = field(default_factory=lambda: NO_POWER)


def collect_tests(store: ArtifactStore, refs: Mapping[str, Sequence[ArtifactRef]]) -> LoopTests:
    """Read the statistics of a loop."""
    for ref in refs.get("loop_tests", ()):
        return LoopTests(
            store.table(ref, "loop_tests").select(NO_TESTS.columns),
            store.table(ref, "unit_tests").select(NO_UNIT_TESTS.columns),
            store.table(ref, "power").select(NO_POWER.columns),
        )
    return LoopTests()


@dataclass(frozen=True)
class NextLoop:
    """How many units the next loop would need to show what this one measured, by repeats of each image.

    Attributes
    ----------
    control : control image
    effect : mean difference that this loop measured, z-score
    units : repeats → fewest units for power 0.8; None: no number of units suffices
    """

    control: str
    effect: float
    units: Mapping[int, int | None]


def next_loops(power: pl.DataFrame) -> list[NextLoop]:
    """Return what the next loop would need, a comparison a row.

    Examples
    --------
    >>> row = {"control": "linear", "effect": 0.5, "n_repeats": 5, "units_for_80": 40}
    >>> next_loops(pl.DataFrame([row]))[0].units
    {5: 40}
    """
    found = []
    for (control, effect), rows in power.group_by("control", "effect", maintain_order=True):
        needed = rows.select("n_repeats", "units_for_80").unique().sort("n_repeats")
        found.append(NextLoop(str(control), float(str(effect)), dict(needed.iter_rows())))
    return found

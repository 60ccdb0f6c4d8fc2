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
    """How many units, or repeats, the next loop would need to show one effect of a comparison.

    Attributes
    ----------
    control : control image
    effect : mean difference to be shown, z-score; below 0: the opposite
    measured : whether this loop measured it; else it is the end nearer 0 of its interval (0: it holds 0)
    units : repeats → fewest units for power 0.8; None: no number of units suffices
    repeats : units → fewest repeats for power 0.8; None: no number of repeats suffices
    """

    control: str
    effect: float
    measured: bool
    units: Mapping[int, int | None]
    repeats: Mapping[int, int | None]


def next_loops(power: pl.DataFrame) -> list[NextLoop]:
    """Return what the next loop would need: for each comparison what was measured, then the careful case.

    Examples
    --------
    >>> row = {"control": "linear", "n_units": 20, "n_repeats": 5}
    >>> row |= {"effect": 0.5, "units_for_80": 40, "repeats_for_80": None}
    >>> row |= {"effect_nearer_0": 0.25, "units_nearer_0": 150, "repeats_nearer_0": None}
    >>> [(one.effect, one.units, one.repeats) for one in next_loops(pl.DataFrame([row]))]
    [(0.5, {5: 40}, {20: None}), (0.25, {5: 150}, {20: None})]
    """
    found = []
    for (control,), rows in power.group_by("control", maintain_order=True):
        measured = ("effect", "units_for_80", "repeats_for_80")
        for effect, units, repeats in (measured, ("effect_nearer_0", "units_nearer_0", "repeats_nearer_0")):
            if rows[effect][0] is not None:
                of_units = dict(rows.select("n_repeats", units).unique().sort("n_repeats").iter_rows())
                of_repeats = dict(rows.select("n_units", repeats).unique().sort("n_units").iter_rows())
                found.append(
                    NextLoop(str(control), rows[effect][0], effect == "effect", of_units, of_repeats)
                )
    return found

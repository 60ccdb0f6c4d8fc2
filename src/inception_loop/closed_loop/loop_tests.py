"""The statistics of one loop as an artifact: tests in words, every unit's own test, the next experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.diagonal import OWN, Control
from inception_loop.closed_loop.images import of_source
from inception_loop.closed_loop.matching import SOURCE_UNIT
from inception_loop.closed_loop.matrix import ConfusionMatrix, confusion_matrix
from inception_loop.closed_loop.scans import F64, I64, TEXT
from inception_loop.closed_loop.statistics.of_loop import loop_tests, loop_unit_tests, loop_variances
from inception_loop.closed_loop.statistics.per_unit import SCHEMA
from inception_loop.closed_loop.statistics.power import Variances, nearer_0, power_table
from inception_loop.errors import DataError

CONTROL = Column(TEXT, "model_type of the control image: linear, natural, gabor, masked_natural")
WHY = "null where it was not done; words says why"

POWER_SCHEMA = {
    "control": pl.String,
    "effect": pl.Float64,
    "n_units": pl.Int64,
    "n_repeats": pl.Int64,
    "power": pl.Float64,
    "units_for_80": pl.Int64,
    "repeats_for_80": pl.Int64,
    "effect_nearer_0": pl.Float64,
    "units_nearer_0": pl.Int64,
    "repeats_nearer_0": pl.Int64,
}

_SINCE_2 = {
    "repeats_for_80": Column(
        I64, "fewest repeats with power 0.8 at these units; null: none suffice", nullable=True
    ),
    "effect_nearer_0": Column(
        F64,
        "end nearer 0 of the effect's 95 % interval, 0 if that holds 0, z-score; null: no interval",
        nullable=True,
    ),
    "units_nearer_0": Column(
        I64,
        "units_for_80 if the effect is effect_nearer_0; null: none suffice, or no interval",
        nullable=True,
    ),
    "repeats_nearer_0": Column(
        I64, "repeats_for_80 if the effect is that; null: none suffice, or no interval", nullable=True
    ),
}


def with_nulls(table: pa.Table) -> pa.Table:
    """Return a table of power of version 1 as one of version 2."""
    for name, column in _SINCE_2.items():
        table = table.append_column(name, pa.nulls(len(table), column.type))
    return table


POWER = Table(
    {
        "control": CONTROL,
        "effect": Column(
            F64, "mean difference over units that this loop found, z-score; below 0 all is about the opposite"
        ),
        "n_units": Column(I64, "units of the next experiment"),
        "n_repeats": Column(I64, "repeats of each image there"),
        "power": Column(
            F64, "chance of p < 0.05 by sign flips over units if the effect is what was found here"
        ),
        "units_for_80": Column(
            I64, "fewest units with power 0.8 at these repeats, at least 6; null: none suffice", nullable=True
        ),
        **_SINCE_2,
    },
    version=2,
    upgrades={1: with_nulls},
)
"""The next experiment, as the artifacts ``loop_tests`` and ``report`` keep it."""

LOOP_TESTS = Kind(
    name="loop_tests",
    # 2: masked images and the truth panel are corrected apart; units that share a cell are said; 3: that also
    # of the diagonal; power by the sign flips, at the interval's end nearer 0 too, and repeats needed
    version=3,
    meaning="Every test of a loop in words, each unit's own test, and the power of the next experiment.",
    payloads={
        "loop_tests": Table(
            {
                "key": Column(TEXT, "comparison and test, cnn_linear_sign_flip say"),
                "what": Column(TEXT, "what is compared"),
                "statistic": Column(TEXT, "what value is"),
                "value": Column(F64, f"of the statistic; {WHY}", nullable=True),
                "p_value": Column(F64, "null where there is none; words says why", nullable=True),
                "q_value": Column(
                    F64,
                    "p_value corrected over comparisons tested alike (Benjamini–Hochberg); MEIs, masked MEIs "
                    "and truth panel apart",
                    nullable=True,
                ),
                "n": Column(I64, f"units or animals; {WHY}", nullable=True),
                "n_of": Column(TEXT, "what n counts"),
                "lower": Column(F64, "lower end of the 95 % interval, where it is one", nullable=True),
                "upper": Column(F64, "upper end of it", nullable=True),
                "method": Column(TEXT, f"how; {WHY}", nullable=True),
                "assumptions": Column(TEXT, "what has to hold for it"),
                "words": Column(TEXT, "the result as a sentence"),
            }
        ),
        "unit_tests": Table(
            {
                "control": CONTROL,
                "source_unit_id": SOURCE_UNIT,
                "n_own": Column(I64, "trials of the own image"),
                "n_control": Column(I64, "trials of the control image"),
                "own_mean": Column(F64, "mean response to the own image, z-score", nullable=True),
                "control_mean": Column(F64, "mean response to the control image, z-score", nullable=True),
                "difference": Column(F64, "own_mean − control_mean, z-score", nullable=True),
                "sem": Column(F64, "standard error of difference, z-score", nullable=True),
                "t": Column(F64, "difference / sem", nullable=True),
                "p_value": Column(F64, "two-sided; labels permuted within scans", nullable=True),
                "q_value": Column(F64, "Benjamini–Hochberg over the units of a comparison", nullable=True),
                "p_smallest": Column(F64, "smallest p that so few trials can give", nullable=True),
                "method": Column(TEXT, "how p was found", nullable=True),
                "reason": Column(TEXT, "why there is no p; null where there is one", nullable=True),
            }
        ),
        "power": POWER,
    },
    partition=LOOP,
)


class LoopTestsConfig(Config):
    """How the statistics of a loop are computed."""

    loop_group: int = Field(ge=0, description="Number of the loop.")
    source_name: str | None = Field(
        None, description="Member of the group that is the source scan; None: the group has one member."
    )
    n_permutations: int = Field(99_999, ge=99, description="Permutations of images and sign flips (B).")
    n_unit_permutations: int = Field(9_999, ge=99, description="Permutations of a unit's trials.")
    seed: int = Field(0, ge=0, description="Seed of all of them.")


def next_experiment(
    diagonals: Mapping[Control, pl.DataFrame], tests: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return the power of the next experiment for every comparison whose variances are known.

    Parameters
    ----------
    diagonals
        Control → rows of `diagonal_entry` in z-scores, of the units that the claim is about. A comparison
        with fewer than two units shown more than once has no rows.
    tests
        Rows of `loop_tests`: intervals of the effects.

    Returns
    -------
    Table ``control, effect, n_units, n_repeats, power, units_for_80, repeats_for_80``, see `power_table`,
    and the same two at ``effect_nearer_0``, the end of the effect's interval nearer 0.

    Examples
    --------
    >>> next_experiment({}).height
    0
    """
    parts = [pl.DataFrame(schema=POWER_SCHEMA)]
    for control, entry in diagonals.items():
        try:
            found = loop_variances(entry)
        except DataError:
            continue  # nothing is known of the noise of images shown once
        named = power_table(found).with_columns(control=pl.lit(control), effect=pl.lit(found.effect))
        careful = _careful(found, None if tests is None else _nearer_0(tests, control))
        joined = named.join(careful, on=["n_units", "n_repeats"], how="left", maintain_order="left")
        parts.append(joined.select(list(POWER_SCHEMA)))
    return pl.concat(parts)


def _nearer_0(tests: pl.DataFrame, control: Control) -> float | None:
    rows = tests.filter(key=f"{OWN[control]}_{control}_interval").drop_nulls(["lower", "upper"])
    return nearer_0(rows["lower"][0], rows["upper"][0]) if rows.height else None


def _careful(found: Variances, effect: float | None) -> pl.DataFrame:
    """Return what the end of the interval nearer 0 would need; nulls without an interval."""
    table = power_table(found, effect=effect or 0.0).with_columns(
        effect_nearer_0=pl.lit(effect, dtype=pl.Float64)
    )
    needed = {"units_nearer_0": "units_for_80", "repeats_nearer_0": "repeats_for_80"}
    return table.select(
        "n_units", "n_repeats", "effect_nearer_0", **{name: pl.col(old) for name, old in needed.items()}
    )


def make_loop_tests(
    store: ArtifactStore,
    config: LoopTestsConfig,
    *,
    z_summary_confusion: ArtifactRef,
    diagonals: Sequence[ArtifactRef],
    own_responses: Sequence[ArtifactRef],
    corrected_high_unit_selection: ArtifactRef,
    truth_panel: ArtifactRef | None = None,
) -> Outcome:
    """Make the statistics of a loop, over the selected units that were shown every selected unit's image.

    Parameters
    ----------
    store, config
        Where, and how.
    z_summary_confusion, diagonals
        The pooled confusion in z-scores, and its diagonal entries, one artifact a control.
    own_responses
        Responses to own images, trial by trial, of every later scan.
    corrected_high_unit_selection, truth_panel
        Which units were selected, which are in the truth panel.
    """

    def build(attempt: Attempt) -> None:
        table = store.table(corrected_high_unit_selection, "corrected_high_unit_selection")
        selection = of_source(table, config.source_name)
        selected = selection.filter(pl.col("hu_rank").is_not_null()).sort("hu_rank")["unit_id"].to_list()
        summary = store.table(z_summary_confusion, "z_summary_confusion")
        tables = [store.table(ref, ref.kind) for ref in diagonals]
        entries: dict[Control, pl.DataFrame] = {
            table["control"][0]: table for table in tables if table.height
        }
        matrices = {own: confusion_matrix(summary, selected, own) for own in _own_images(entries)}
        trials = pl.concat([store.table(ref, "own_response") for ref in own_responses])
        claimed = {control: _claimed(entry, matrices[OWN[control]]) for control, entry in entries.items()}
        by_unit = _unit_tests(trials, claimed, config)
        rows = loop_tests(
            entries,
            trials,
            by_unit,
            matrices,
            [] if truth_panel is None else _complex(store, truth_panel, config.source_name),
            n_permutations=config.n_permutations,
            seed=config.seed,
        )
        attempt.write_table("loop_tests", rows)
        attempt.write_table("unit_tests", by_unit.rename({"unit_id": "source_unit_id"}))
        attempt.write_table("power", next_experiment(claimed, rows))
        attempt.report(n_tests=rows.height, n_not_done=rows["value"].null_count())

    inputs: dict[str, ArtifactRef | Sequence[ArtifactRef]] = {
        "z_summary_confusion": z_summary_confusion,
        "diagonals": list(diagonals),
        "own_responses": list(own_responses),
        "corrected_high_unit_selection": corrected_high_unit_selection,
    }
    if truth_panel is not None:
        inputs["truth_panel"] = truth_panel
    return store.make(LOOP_TESTS, config, build, inputs=inputs)


def _own_images(entries: Mapping[Control, pl.DataFrame]) -> list[str]:
    return list(dict.fromkeys(["cnn", *(OWN[control] for control in entries)]))


def _claimed(entry: pl.DataFrame, matrix: ConfusionMatrix) -> pl.DataFrame:
    return entry.filter(pl.col("source_unit_id").is_in(matrix.unit_ids.tolist()))


def _unit_tests(
    trials: pl.DataFrame, claimed: Mapping[Control, pl.DataFrame], config: LoopTestsConfig
) -> pl.DataFrame:
    parts = [pl.DataFrame(schema={"control": pl.String, **SCHEMA})]
    for control, entry in claimed.items():
        own = trials.filter(pl.col("source_unit_id").is_in(entry["source_unit_id"].implode()))
        drawn = {"n_permutations": config.n_unit_permutations, "seed": config.seed}
        parts.append(loop_unit_tests(own, [control], **drawn))
    return pl.concat(parts)


def _complex(store: ArtifactStore, truth_panel: ArtifactRef, source_name: str | None) -> list[int]:
    panel = of_source(store.table(truth_panel, "truth_panel"), source_name)
    units: list[int] = panel.filter(kind="complex")["unit_id"].to_list()
    return units

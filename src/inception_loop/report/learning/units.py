"""Scores unit by unit of a learning report: networks, receptive fields, ceiling and oracle side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.training.modes import Mode
from inception_loop.training.unit_test_scores import UNIT_TEST_SCORES

SCORES = UNIT_TEST_SCORES.name  # its declaration also reads older tables
SIDES = {"cnn": "cnn", "linear": "lin"}
"""Family → how its columns begin."""
UNIT = ["name", "neuron_id", "unit_id"]
_KEYS = {"name": pl.String, "neuron_id": pl.Int64, "unit_id": pl.Int64}
_NUMBERS = (
    "cnn_test_corr",
    "lin_test_corr",
    "cnn_frozen_test_corr",
    "lin_frozen_test_corr",
    "rf_test_corr",
    "ceiling",
    "oracle_corr",
)


class ShownScores(NamedTuple):
    """Scores of what stands for a family.

    Attributes
    ----------
    recorded : eye and behaviour as recorded
    frozen : both at their training mean; None: not scored so
    """

    recorded: ArtifactRef
    frozen: ArtifactRef | None


def scores_of(
    store: ArtifactStore, scores: Sequence[ArtifactRef], mode: Mode
) -> dict[frozenset[str], ArtifactRef]:
    """Return the scores of models that were told eye and behaviour in one way, by the models' digests."""
    found = {}
    for ref in scores:
        manifest = store.manifest(ref)
        if all(manifest.config.get(what, "recorded") == mode for what in ("eye", "behavior")):
            found[frozenset(record.digest for record in manifest.inputs["model"])] = ref
    return found


def collect_units(
    store: ArtifactStore,
    shown: Mapping[str, ShownScores],
    oracle: ArtifactRef | None,
    linear_rf: ArtifactRef | None,
) -> pl.DataFrame:
    """Return the table ``units`` of a learning report.

    Parameters
    ----------
    store
        Where everything lies.
    shown
        Scores by family.
    oracle
        Goes before the oracle of the scores.
    linear_rf
        Receptive fields of the same units.
    """
    measured = {family: store.table(scores.recorded, SCORES) for family, scores in shown.items()}
    empty = pl.DataFrame(schema=_KEYS)
    units = pl.concat([empty, *(table.select(UNIT) for table in measured.values())]).unique()
    columns = [(f"{SIDES[family]}_test_corr", table, "test_corr") for family, table in measured.items()]
    columns += [
        (f"{SIDES[family]}_frozen_test_corr", store.table(scores.frozen, SCORES), "test_corr")
        for family, scores in shown.items()
        if scores.frozen
    ]
    columns += [("ceiling", table, "ceiling") for table in list(measured.values())[:1]]
    if oracle is not None:
        columns.append(("oracle_corr", store.table(oracle, "oracle"), "oracle_pearson"))
    else:
        columns += [("oracle_corr", table, "oracle") for table in list(measured.values())[:1]]
    if linear_rf is not None:
        columns.append(("rf_test_corr", store.table(linear_rf, SCORES), "test_corr"))
    for name, table, source in columns:
        units = units.join(table.select(*UNIT, pl.col(source).alias(name)), on=UNIT, how="left")
    missing = [name for name in _NUMBERS if name not in units.columns]
    units = units.with_columns(pl.lit(None, pl.Float64).alias(name) for name in missing)
    return with_shares(units.select(*UNIT, *_NUMBERS).sort(UNIT))


def with_shares(units: pl.DataFrame) -> pl.DataFrame:
    """Add shares of the ceiling and the difference of the families.

    A network that is told eye and running as recorded may exceed the ceiling of the image alone. So its share
    is of its frozen score, if any unit of its family has one.

    Examples
    --------
    >>> row = dict.fromkeys(_NUMBERS, 0.5) | {"ceiling": 0.4, "cnn_frozen_test_corr": 0.3}
    >>> with_shares(pl.DataFrame([row]))["cnn_fraction_ceiling"].round(6).item()
    0.75
    """
    above = pl.when(pl.col("ceiling") > 0).then(pl.col("ceiling"))
    fair = {**{side: fair_score(units, family) for family, side in SIDES.items()}, "rf": "rf_test_corr"}
    return units.with_columns(
        *((pl.col(score) / above).alias(f"{side}_fraction_ceiling") for side, score in fair.items()),
        cnn_minus_linear=pl.col("cnn_test_corr") - pl.col("lin_test_corr"),
    )


def fair_score(units: pl.DataFrame, family: str) -> str:
    """Return the column of a family that may be compared with the ceiling: frozen scores where they exist."""
    frozen = f"{SIDES[family]}_frozen_test_corr"
    return frozen if units[frozen].count() else f"{SIDES[family]}_test_corr"


def is_frozen(units: pl.DataFrame) -> bool:
    """Tell whether every family that is scored has frozen scores."""
    scored = [family for family, side in SIDES.items() if units[f"{side}_test_corr"].count()]
    return bool(scored) and all("frozen" in fair_score(units, family) for family in scored)

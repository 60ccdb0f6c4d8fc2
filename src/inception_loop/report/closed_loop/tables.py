"""The tables of a report: what its figures are drawn from, kept in the artifact for readers years later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt
from inception_loop.report.closed_loop.kinds import TABLES
from inception_loop.report.data import ReportData


@dataclass(frozen=True)
class LoopTables:
    """Everything behind the closed-loop figures; columns as `kinds` declares them.

    Attributes
    ----------
    numbers : the evidence
    tests, unit_tests, power : of the loop, of every unit by itself, and of the next loop
    confusion, diagonal : mean responses to every image, and own against control
    matches, tuning_match : cell matching
    own_responses : trial by trial
    shown, images : which image was shown for which unit, and the images (K, h, w) uint8
    origins : from which artifacts all this comes
    """

    numbers: pl.DataFrame
    tests: pl.DataFrame
    unit_tests: pl.DataFrame
    power: pl.DataFrame
    confusion: pl.DataFrame
    diagonal: pl.DataFrame
    matches: pl.DataFrame
    tuning_match: pl.DataFrame
    own_responses: pl.DataFrame
    shown: pl.DataFrame
    origins: pl.DataFrame
    images: npt.NDArray[np.uint8]

    @property
    def selected(self) -> list[int]:
        """Selected units with a response, by rank."""
        units = self.confusion.drop_nulls("rank").select("source_unit_id", "rank").unique().sort("rank")
        return units["source_unit_id"].to_list()

    def frames(self) -> dict[str, pl.DataFrame]:
        """Return the tables by the names of their payloads."""
        return {name: getattr(self, name) for name in TABLES}


def loop_tables(data: ReportData) -> LoopTables:
    """Return the tables of a report from what was read for it."""
    place = {unit: rank for rank, unit in enumerate(data.selected)}
    ranks = pl.DataFrame(
        {"source_unit_id": list(place), "rank": list(place.values())},
        schema={"source_unit_id": pl.Int64, "rank": pl.Int64},
    )

    def ranked(table: pl.DataFrame, name: str) -> pl.DataFrame:
        out = table.join(ranks, on="source_unit_id", how="left", maintain_order="left")
        return out.select(list(TABLES[name].columns))

    return LoopTables(
        numbers=data.evidence.select(list(TABLES["numbers"].columns)),
        tests=data.tests.select(list(TABLES["tests"].columns)),
        unit_tests=ranked(data.unit_tests, "unit_tests"),
        power=data.power.select(list(TABLES["power"].columns)),
        confusion=ranked(_confusion(data.summary, data.z_summary, ranks), "confusion"),
        diagonal=ranked(_diagonal(data.z_diagonals, data.unit_tests), "diagonal"),
        matches=ranked(data.matches, "matches"),
        tuning_match=tuning_histogram(data.tuning_match),
        own_responses=ranked(data.own_responses, "own_responses"),
        shown=ranked(data.shown, "shown"),
        origins=data.origins.select(list(TABLES["origins"].columns)),
        images=data.shown_images,
    )


def _confusion(plain: pl.DataFrame, z_scored: pl.DataFrame, ranks: pl.DataFrame) -> pl.DataFrame:
    of = ["model_type", "image_unit_id", "source_unit_id"]
    images = ranks.rename({"source_unit_id": "image_unit_id", "rank": "image_rank"})
    own = plain.select(*of, mean="mu_resp", sem="sem_resp")
    return (
        z_scored.select(*of, "n_repeats", z_mean="mu_resp", z_sem="sem_resp")
        .join(own, on=of, how="left", maintain_order="left")
        .join(images, on="image_unit_id", how="left", maintain_order="left")
    )


def tuning_histogram(pairs: pl.DataFrame) -> pl.DataFrame:
    """Count pairs of units by correlation: of matched cells, and of all others, who may be millions.

    Parameters
    ----------
    pairs
        ``matched``, ``correlation``; a null correlation is not counted.

    Examples
    --------
    >>> pairs = pl.DataFrame({"matched": [True, True, False], "correlation": [0.5, 0.54, None]})
    >>> tuning_histogram(pairs).filter(pl.col("n") > 0).rows()
    [(True, 0.5, 0.55, 2, 0.52)]
    """
    edges = np.round(np.linspace(-1, 1, 41), 2)
    parts = [pl.DataFrame(schema=_HISTOGRAM)]
    for matched in (False, True):
        values = pairs.filter(pl.col("matched") == matched)["correlation"].drop_nulls().to_numpy()
        if not len(values):
            continue
        counts, _ = np.histogram(values, edges)
        bins = {"matched": matched, "lower": edges[:-1], "upper": edges[1:], "n": counts}
        parts.append(pl.DataFrame({**bins, "median": float(np.median(values))}, schema=_HISTOGRAM))
    return pl.concat(parts)


_HISTOGRAM = {
    "matched": pl.Boolean,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "n": pl.Int64,
    "median": pl.Float64,
}
_NAMES = {
    "own_mean": "cnn_resp",
    "own_sem": "cnn_sem",
    "own_repeats": "cnn_repeats",
    "control_mean": "rf_resp",
    "control_sem": "rf_sem",
    "control_repeats": "rf_repeats",
    "difference": "diff_resp",
    "difference_sem": "diff_sem",
}
"""Name here → published name, in which ``cnn`` and ``rf`` stand for own and control whatever they are."""


def _diagonal(z_diagonals: Mapping[str, pl.DataFrame], tested: pl.DataFrame) -> pl.DataFrame:
    schema: dict[str, type[pl.DataType]] = {
        "control": pl.String,
        "own": pl.String,
        "source_unit_id": pl.Int64,
    }
    schema |= {name: pl.Int64 if name.endswith("repeats") else pl.Float64 for name in _NAMES}
    parts = [pl.DataFrame(schema=schema)]
    parts += [
        rows.select("control", "own", "source_unit_id", **_NAMES)
        for rows in z_diagonals.values()
        if rows.height
    ]
    q_values = tested.select("control", "source_unit_id", "q_value")
    return pl.concat(parts).join(
        q_values, on=["control", "source_unit_id"], how="left", maintain_order="left"
    )


def write_tables(attempt: Attempt, tables: LoopTables) -> None:
    """Write the tables into an artifact."""
    for name, frame in tables.frames().items():
        attempt.write_table(name, frame)
    attempt.write_arrays("shown_images", {"images": tables.images})


def load_tables(store: ArtifactStore, ref: ArtifactRef) -> LoopTables | None:
    """Return the tables of a report; None of one made before reports kept them."""
    if not set(TABLES) <= set(store.manifest(ref).payloads):
        return None
    frames = {name: store.table(ref, name) for name in TABLES}
    return LoopTables(**frames, images=np.asarray(store.arrays(ref, "shown_images")["images"]))

"""SummaryConfusion and ZSummaryConfusion: the scans of a loop pooled as if all repeats were one sample."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Column, Kind, Table
from inception_loop.artifacts.query import TableSource, query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.confusion import (
    IMAGE_UNIT,
    MODEL_TYPE,
    NORMALIZED_CONFUSION,
    Z_SCORE_CONFUSION,
)
from inception_loop.closed_loop.matching import SOURCE_UNIT
from inception_loop.closed_loop.scans import F64, I64


def _columns(scale: str) -> dict[str, Column]:
    return {
        "model_type": MODEL_TYPE,
        "image_unit_id": IMAGE_UNIT,
        "source_unit_id": SOURCE_UNIT,
        "mu_resp": Column(F64, f"mean response over all repeats of all scans, {scale}"),
        "var_resp": Column(
            F64, f"variance over them (ddof 1), ({scale})²; null for one repeat", nullable=True
        ),
        "sem_resp": Column(F64, f"standard error of mu_resp, {scale}; null for one repeat", nullable=True),
        "n_repeats": Column(I64, "repeats over all scans"),
        "scan_count": Column(I64, "scans that showed the image to the matched cell"),
    }


SUMMARY_CONFUSION = Kind(
    name="summary_confusion",
    version=2,  # 2: pooled about the median scan
    meaning="NormalizedConfusion of all later scans of a loop, pooled by exact moment merging.",
    payloads={"summary_confusion": Table(_columns("in s.d. of the cell over the scan"))},
    partition=LOOP,
)

Z_SUMMARY_CONFUSION = Kind(
    name="z_summary_confusion",
    version=2,  # 2: pooled about the median scan
    meaning="ZScoreConfusion of all later scans of a loop, pooled by exact moment merging.",
    payloads={"z_summary_confusion": Table(_columns("z-score over the scan"))},
    partition=LOOP,
)


class SummaryConfusionConfig(Config):
    """Pooling over the later scans of one loop."""

    loop_group: int = Field(ge=0, description="Number of the loop.")


def summary_confusion(confusions: TableSource, store: ArtifactStore | None = None) -> pl.DataFrame:
    """Return the moments of all scans together, exactly as if all repeats were one sample.

    Parameters
    ----------
    confusions
        Rows of `confusion` of one or more scans, one below the other.
    store
        Where they stand, if they are artifacts.

    Returns
    -------
    Table ``model_type, image_unit_id, source_unit_id, mu_resp, var_resp`` (ddof 1), ``sem_resp`` = √(var/n),
    ``n_repeats, scan_count``, in the unit of the input. One repeat has neither variance nor s.e.m.: null.
    """
    return query(sql_file(__package__, "summary_confusion.sql"), {"confusion": confusions}, {}, store)


def make_summary_confusion(
    store: ArtifactStore, config: SummaryConfusionConfig, *, confusions: Sequence[ArtifactRef]
) -> Outcome:
    """Make the pooled confusion in standard deviations from NormalizedConfusions."""
    return _make(SUMMARY_CONFUSION, NORMALIZED_CONFUSION, store, config, confusions)


def make_z_summary_confusion(
    store: ArtifactStore, config: SummaryConfusionConfig, *, confusions: Sequence[ArtifactRef]
) -> Outcome:
    """Make the pooled confusion in z-scores from ZScoreConfusions."""
    return _make(Z_SUMMARY_CONFUSION, Z_SCORE_CONFUSION, store, config, confusions)


def _make(
    kind: Kind,
    part: Kind,
    store: ArtifactStore,
    config: SummaryConfusionConfig,
    confusions: Sequence[ArtifactRef],
) -> Outcome:
    def build(attempt: Attempt) -> None:
        rows = summary_confusion([(ref, part.name) for ref in confusions], store)
        attempt.write_table(kind.name, rows)
        attempt.report(
            n_scans=len(confusions), n_without_variance=rows.filter(pl.col("var_resp").is_null()).height
        )

    return store.make(kind, config, build, inputs={"confusions": list(confusions)})

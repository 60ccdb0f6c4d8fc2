"""SummaryConfusionDiagonalEntry: each unit's response to its own MEI beside that to its own control image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Column, Kind, Table
from inception_loop.artifacts.query import TableSource, query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.matching import SOURCE_UNIT
from inception_loop.closed_loop.scans import F64, I64, TEXT
from inception_loop.closed_loop.summary import SUMMARY_CONFUSION, Z_SUMMARY_CONFUSION

Control = Literal["linear", "natural", "gabor", "masked_natural"]
CONTROLS: tuple[Control, ...] = get_args(Control)

OWN: Mapping[Control, str] = {
    "linear": "cnn",
    "natural": "cnn",
    "gabor": "cnn",
    "masked_natural": "masked_cnn",
}
"""Control → model type of the own image that it is held against: images with a mask against each other."""

WORDS: Mapping[Control, tuple[str, str]] = {
    "linear": ("own MEI", "own RF image"),
    "natural": ("own MEI", "own best natural image"),
    "gabor": ("own MEI", "own best Gabor"),
    "masked_natural": ("own masked MEI", "own best masked natural image"),
}
"""Control → what the own image and it are called."""


def _columns(scale: str) -> dict[str, Column]:
    one = "null where an image was shown once"
    return {
        "control": Column(
            TEXT, "model_type of the control image: linear (RF image), natural, gabor, masked_natural"
        ),
        "own": Column(TEXT, "model_type of the own image: cnn (MEI), masked_cnn (masked MEI)"),
        "source_unit_id": SOURCE_UNIT,
        "cnn_resp": Column(F64, f"mean response to the unit's own MEI (masked, of masked_cnn), {scale}"),
        "cnn_sem": Column(F64, f"its standard error, {scale}; {one}", nullable=True),
        "cnn_repeats": Column(I64, "repeats of the MEI"),
        "rf_resp": Column(F64, f"mean response to the unit's own control image, {scale}"),
        "rf_sem": Column(F64, f"its standard error, {scale}; {one}", nullable=True),
        "rf_repeats": Column(I64, "repeats of the control image"),
        "diff_resp": Column(F64, f"cnn_resp − rf_resp, {scale}"),
        "diff_sem": Column(F64, f"√(cnn_sem² + rf_sem²), {scale}; {one}", nullable=True),
        "t_diff": Column(
            F64, f"diff_resp / diff_sem (Welch), 1; {one} or no response differed", nullable=True
        ),
        "diff_rank": Column(I64, "place by diff_resp, 0 is the largest"),
        "t_rank": Column(I64, "place by t_diff, 0 is the largest; null with t_diff", nullable=True),
    }


def _with_own(table: pa.Table) -> pa.Table:
    return table.add_column(1, "own", pa.array(["cnn"] * len(table), TEXT))


def _table(scale: str) -> Table:
    return Table(_columns(scale), version=2, upgrades={1: _with_own})


SUMMARY_CONFUSION_DIAGONAL_ENTRY = Kind(
    name="summary_confusion_diagonal_entry",
    version=2,  # 2: masked images
    meaning="Own MEI against own control image, in standard deviations.",
    payloads={"summary_confusion_diagonal_entry": _table("in s.d. of the cell over the scan")},
    partition=LOOP,
)

Z_SUMMARY_CONFUSION_DIAGONAL_ENTRY = Kind(
    name="z_summary_confusion_diagonal_entry",
    version=2,  # 2: masked images
    meaning="Own MEI against own control image, in z-scores.",
    payloads={"z_summary_confusion_diagonal_entry": _table("z-score over the scan")},
    partition=LOOP,
)


class DiagonalEntryConfig(Config):
    """Which control the MEI is compared with."""

    loop_group: int = Field(ge=0, description="Number of the loop.")
    control: Control = Field(
        "linear", description="model_type of the control image; a masked one is held against the masked MEI."
    )


def diagonal_entry(
    summary: TableSource, control: Control = "linear", store: ArtifactStore | None = None
) -> pl.DataFrame:
    """Return own MEI against own control image, one row a source unit that was shown both.

    Parameters
    ----------
    summary
        Rows of `summary_confusion`.
    control
        ``model_type`` of the control: the linear RF image as published, the best natural image, the best
        Gabor; or the best masked natural image, which is held against the masked MEI.
    store
        Where the rows stand, if they are artifacts.

    Returns
    -------
    Table ``control, own, source_unit_id, cnn_resp, cnn_sem, cnn_repeats, rf_resp, rf_sem, rf_repeats,
    diff_resp, diff_sem, t_diff, diff_rank, t_rank``; ``rf_*`` speak of the control image whatever it is.
    Ranks count from 0 = largest; ties go to the smaller id. Empty if no unit was shown both.
    """
    statement = sql_file(__package__, "diagonal_entry.sql")
    return query(statement, {"summary_confusion": summary}, {"control": control, "own": OWN[control]}, store)


def make_summary_confusion_diagonal_entry(
    store: ArtifactStore, config: DiagonalEntryConfig, *, summary_confusion: ArtifactRef
) -> Outcome:
    """Make the comparison in standard deviations."""
    return _make(SUMMARY_CONFUSION_DIAGONAL_ENTRY, SUMMARY_CONFUSION, store, config, summary_confusion)


def make_z_summary_confusion_diagonal_entry(
    store: ArtifactStore, config: DiagonalEntryConfig, *, z_summary_confusion: ArtifactRef
) -> Outcome:
    """Make the comparison in z-scores."""
    return _make(Z_SUMMARY_CONFUSION_DIAGONAL_ENTRY, Z_SUMMARY_CONFUSION, store, config, z_summary_confusion)


def not_compared(control: Control) -> str:
    """Say that a comparison was skipped, and why.

    Examples
    --------
    >>> not_compared("gabor")
    'no unit was shown both its own MEI and its own best Gabor: they are not compared'
    """
    own, other = WORDS[control]
    return f"no unit was shown both its {own} and its {other}: they are not compared"


def _make(
    kind: Kind, part: Kind, store: ArtifactStore, config: DiagonalEntryConfig, summary: ArtifactRef
) -> Outcome:
    def build(attempt: Attempt) -> None:
        rows = diagonal_entry([(summary, part.name)], config.control, store)
        attempt.write_table(kind.name, rows)
        attempt.report(n_units=rows.height, n_mei_preferred=rows.filter(pl.col("diff_resp") > 0).height)
        if rows.height == 0:
            attempt.report(skipped=not_compared(config.control))

    return store.make(kind, config, build, inputs={part.name: summary})

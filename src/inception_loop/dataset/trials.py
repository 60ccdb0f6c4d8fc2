"""Which trials of a scan are used, in which tier, and if not, why."""

from __future__ import annotations

import polars as pl

from inception_loop.dataset.config import MissingData
from inception_loop.dataset.tiers import NO_TIER
from inception_loop.dataset.trial_status import VALID
from inception_loop.errors import DataError

USED = ""
IN_CLOSED_LOOP = "closed-loop scan"
WITHOUT_TIER = "image without a tier"
NO_EYE = "eye untracked"
NO_RUNNING = "running untracked"
JOINED = (
    "trial_idx",
    "condition_hash",
    "tier",
    "image_class",
    "used",
    "reason",
    "imputed",
    "frame_row",
    "response_row",
)
_PARTS = {NO_EYE: "eye", NO_RUNNING: "treadmill"}


def has_values(table: pl.DataFrame) -> bool:
    """Whether an eye or treadmill table has a valid sample in any trial."""
    return bool(table["valid"].any())


def join_trials(
    name: str,
    status: pl.DataFrame,
    conditions: pl.DataFrame,
    tiers: pl.DataFrame,
    eye: pl.DataFrame,
    treadmill: pl.DataFrame,
    missing: MissingData,
    closed_loop: bool,
) -> pl.DataFrame:
    """Decide the fate of every trial of a scan.

    Parameters
    ----------
    name
        Name of the member, for errors and the table.
    status
        ``trial_idx, condition_hash, status`` of all trials in order; valid ones have a response each.
    conditions
        ``condition_hash, image_class``: the frames, in their order.
    tiers
        ``condition_hash, tier`` of the group.
    eye, treadmill
        ``trial_idx, valid``.
    missing
        Policies.
    closed_loop
        Whether the scan showed synthesised images; none of its trials is used then.

    Returns
    -------
    Table ``name, trial_idx, condition_hash, tier, image_class, used, reason, imputed, frame_row,
    response_row``, one row a trial in order of presentation.

    Raises
    ------
    DataError
        If a policy refuses what is missing, or no trial is left.
    """
    tracked = {NO_EYE: (eye, missing.no_eye), NO_RUNNING: (treadmill, missing.no_treadmill)}
    for reason, (table, policy) in list(tracked.items()):
        if not has_values(table):
            _check_policy(name, _PARTS[reason], policy)
            del tracked[reason]
    rows = _joined(status, conditions, tiers)
    for reason, (table, _) in tracked.items():
        known = table.select("trial_idx", pl.col("valid").alias(reason))
        rows = rows.join(known, on="trial_idx", how="left", maintain_order="left")
    untracked = pl.coalesce(
        pl.lit(None, pl.String), *(pl.when(~pl.col(reason)).then(pl.lit(reason)) for reason in tracked)
    )
    judged = _judged(rows, untracked, missing.untracked == "drop", closed_loop)
    if not judged["used"].any():
        counts = ", ".join(f"{reason} {n}" for reason, n in judged["reason"].value_counts(sort=True).rows())
        raise DataError(
            f"{name} has no trial left of {judged.height} ({counts}); expected some to learn from"
        )
    return judged.select(pl.lit(name).alias("name"), *JOINED)


def _joined(status: pl.DataFrame, conditions: pl.DataFrame, tiers: pl.DataFrame) -> pl.DataFrame:
    """Add to every trial its rows among responses and frames, the class of its image and its tier."""
    frames = conditions.select("condition_hash", "image_class", frame_row=pl.int_range(pl.len()))
    valid = pl.col("status") == VALID
    rows = status.with_columns(response_row=pl.when(valid).then(valid.cast(pl.Int64).cum_sum() - 1))
    for known in (frames, tiers.select("condition_hash", "tier")):
        rows = rows.join(known, on="condition_hash", how="left", maintain_order="left")
    return rows


def _check_policy(name: str, part: str, policy: str) -> None:
    if policy == "refuse":
        article = "an" if part[0] in "aeiou" else "a"
        raise DataError(
            f"{name} has no {part} value in any trial; expected {article} {part} trace; "
            f"set missing.no_{part} to 'omit' to go on without"
        )


def _judged(rows: pl.DataFrame, untracked: pl.Expr, drop: bool, closed_loop: bool) -> pl.DataFrame:
    """Add ``tier, reason, used, imputed``; the first reason that applies counts."""
    nothing = pl.lit(None, pl.String)
    reason = pl.coalesce(
        pl.when(pl.col("status") != VALID).then("status"),
        pl.lit(IN_CLOSED_LOOP) if closed_loop else nothing,
        pl.when(pl.col("tier") == NO_TIER).then(pl.lit(WITHOUT_TIER)),
        untracked if drop else nothing,
        pl.lit(USED),
    )
    tier = pl.lit(NO_TIER) if closed_loop else pl.col("tier").fill_null(NO_TIER)
    return (
        rows.with_columns(tier=tier)
        .with_columns(reason=reason)
        .with_columns(used=pl.col("reason") == USED)
        .with_columns(imputed=pl.col("used") & untracked.is_not_null())
    )

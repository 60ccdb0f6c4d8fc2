"""Which trials of a scan are used, in which tier, and if not, why."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.config import MissingData
from inception_loop.dataset.responses import VALID
from inception_loop.dataset.tiers import NO_TIER
from inception_loop.errors import DataError

USED = ""
IN_CLOSED_LOOP = "closed-loop scan"
WITHOUT_TIER = "image without a tier"
NO_EYE = "eye untracked"
NO_RUNNING = "running untracked"


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
    tracked = []
    for part, table, policy, reason in (
        ("eye", eye, missing.no_eye, NO_EYE),
        ("treadmill", treadmill, missing.no_treadmill, NO_RUNNING),
    ):
        if has_values(table):
            tracked.append((reason, table.select("trial_idx", pl.col("valid").alias(reason))))
        elif policy == "refuse":
            raise DataError(
                f"{name} has no {part} value in any trial; expected a {part} trace; "
                f"set missing.no_{part} to 'omit' to go on without"
            )
    frames = conditions.select("condition_hash", "image_class", frame_row=pl.int_range(pl.len()))
    valid = pl.col("status") == VALID
    table = status.with_columns(response_row=pl.when(valid).then(valid.cast(pl.Int64).cum_sum() - 1)).join(
        frames, on="condition_hash", how="left", maintain_order="left"
    )
    table = table.join(
        tiers.select("condition_hash", "tier"), on="condition_hash", how="left", maintain_order="left"
    )
    for _, known in tracked:
        table = table.join(known, on="trial_idx", how="left", maintain_order="left")
    lost = [pl.when(~pl.col(reason)).then(pl.lit(reason)) for reason, _ in tracked]
    no_behavior = pl.coalesce(pl.lit(None, pl.String), *lost)
    drop = no_behavior if missing.untracked == "drop" else pl.lit(None, pl.String)
    table = table.with_columns(
        tier=pl.lit(NO_TIER) if closed_loop else pl.col("tier").fill_null(NO_TIER)
    ).with_columns(
        reason=pl.coalesce(
            pl.when(~valid).then("status"),
            pl.lit(IN_CLOSED_LOOP if closed_loop else None, pl.String),
            pl.when(pl.col("tier") == NO_TIER).then(pl.lit(WITHOUT_TIER)),
            drop,
            pl.lit(USED),
        )
    )
    table = table.select(
        pl.lit(name).alias("name"),
        "trial_idx",
        "condition_hash",
        "tier",
        "image_class",
        (pl.col("reason") == USED).alias("used"),
        "reason",
        ((pl.col("reason") == USED) & no_behavior.is_not_null()).alias("imputed"),
        "frame_row",
        "response_row",
    )
    if not table["used"].any():
        counts = ", ".join(f"{reason} {n}" for reason, n in table["reason"].value_counts(sort=True).rows())
        raise DataError(f"{name} has no trial left of {table.height} ({counts}); expected some to learn from")
    return table


def lag1_leakage(responses: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]) -> float | None:
    """Median over units of the correlation between successive trials' responses.

    Deconvolved activity read in time leaks little; above 0.1 the traces were too slow.

    Parameters
    ----------
    responses : (T, N) float32
        All valid trials in order of presentation.
    rows
        Position of each of them among all trials shown; only direct successors are paired.

    Returns
    -------
    None where fewer than 3 pairs or no varying unit exist.
    """
    first = np.flatnonzero(np.diff(rows) == 1)
    if first.size < 3:
        return None
    before, after = responses[first].astype(np.float64), responses[first + 1].astype(np.float64)
    before -= before.mean(0)
    after -= after.mean(0)
    scale = np.sqrt((before**2).sum(0) * (after**2).sum(0))
    correlation = (before * after).sum(0)[scale > 0] / scale[scale > 0]
    return float(np.median(correlation)) if correlation.size else None

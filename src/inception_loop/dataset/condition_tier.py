"""The tiers of a group as an artifact: a new set of scans makes a new one, which says what it moved."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import Tiers
from inception_loop.dataset.near_duplicates import near_duplicates
from inception_loop.dataset.scan_tables import BOOL, I64, TEXT
from inception_loop.dataset.tiers import (
    assign_tiers,
    is_closed_loop,
    moved_images,
    natural_conditions,
    shown_conditions,
)
from inception_loop.errors import DataError
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import Recorded

MOST_REPORTED = 10_000
TIER = Column(TEXT, "train, validation, test, or none (never in training)")
CONDITION = Column(TEXT, "content hash of the image and its presentation")
SCAN_KEY = {
    "animal_id": Column(I64, "number of the animal"),
    "session": Column(I64, "session of the animal"),
    "scan_idx": Column(I64, "scan of the session"),
}

CONDITION_TIER = Kind(
    name="condition_tier",
    version=2,
    meaning="Tier of every image of a group of scans, the same in all of them.",
    payloads={
        "condition_tier": Table(
            {
                "condition_hash": CONDITION,
                "image_class": Column(TEXT, "class of the image"),
                "image_id": Column(I64, "number of the image in its class"),
                "source_id": Column(TEXT, "photograph that it was cut from; empty: its own source"),
                "tier": TIER,
                "reason": Column(TEXT, "which rule decided"),
            }
        ),
        "scans": Table(
            {
                **SCAN_KEY,
                "closed_loop": Column(BOOL, "whether it showed a synthesised image: never in training"),
            }
        ),
        "moved": Table(
            {
                **SCAN_KEY,
                "condition_hash": CONDITION,
                "tier_alone": Column(TEXT, "its tier if the scan were the only one of the group"),
                "tier": Column(TEXT, "its tier in the group"),
            }
        ),
        "near_duplicates": Table(
            {
                "condition_hash_a": CONDITION,
                "condition_hash_b": CONDITION,
                "source_id_a": Column(TEXT, "photograph of the first image; empty: its own source"),
                "source_id_b": Column(TEXT, "photograph of the second image; empty: its own source"),
                "distance": Column(I64, "bits of 64 in which their perceptual hashes differ"),
                "tier_a": TIER,
                "tier_b": TIER,
                "across_tiers": Column(
                    BOOL, "whether their tiers differ: one may be learnt from, the other tested"
                ),
            }
        ),
    },
    partition=GROUP,
)


class ConditionTierConfig(Config):
    """Configuration of the tiers of a group."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    tiers: Tiers = Field(Tiers(), description="Rules of the tiers.")


def make_condition_tier(
    store: ArtifactStore,
    config: ConditionTierConfig,
    *,
    recordings: Sequence[ArtifactRef],
    image_hashes: Sequence[ArtifactRef],
) -> Outcome:
    """Make the tiers of the set of scans; their order does not matter.

    Parameters
    ----------
    recordings, image_hashes
        A recording and its `IMAGE_HASH` a scan, in the same order.

    Table ``moved`` names the images whose tier the other scans changed; ``near_duplicates`` those of two
    sources that look alike, at most 10,000 pairs, nearest first. Findings: images per tier; how many moved;
    how many pairs look alike, and how many of these have two tiers; how many images have no hash because
    they show nothing.

    Raises
    ------
    DataError
        If a scan comes twice, or see `assign_tiers`.
    """
    pairs = sorted(set(zip(recordings, image_hashes, strict=True)), key=lambda pair: pair[0].digest)
    rules = config.tiers

    def build(attempt: Attempt) -> None:
        scans = _in_order([(load_recording(store, ref), hashes) for ref, hashes in pairs], config.group_id)
        sources = [source for source, _ in scans]
        shown = [shown_conditions(source.trials, source.conditions) for source in sources]
        tables = [store.table(ref, "image_hash") for _, ref in scans]
        hashes, n_flat = known_hashes(natural_conditions(shown, rules), tables)
        close = near_duplicates(hashes, rules.near_distance)
        alike = close if rules.near_duplicates == "same_tier" else None
        table = assign_tiers(shown, rules, alike)
        moved = moved_images(shown, table, rules, alike)
        twins = _with_tiers(close, table)
        keys = pl.DataFrame([source.scan.model_dump() for source in sources]).with_columns(
            closed_loop=pl.Series(is_closed_loop(one["image_class"].to_list(), rules) for one in shown)
        )
        attempt.write_table("condition_tier", table)
        attempt.write_table("scans", keys)
        numbered = keys.drop("closed_loop").with_row_index("scan").cast({"scan": pl.Int64})
        attempt.write_table("moved", numbered.join(moved, on="scan", maintain_order="right").drop("scan"))
        attempt.write_table("near_duplicates", twins.head(MOST_REPORTED))
        attempt.report(
            images_per_tier=dict(table.group_by("tier").len().sort("tier").rows()),
            images_moved=moved["condition_hash"].n_unique(),
            near_duplicates=twins.height,
            near_duplicates_across_tiers=int(twins["across_tiers"].sum()),
            images_without_hash=n_flat,
        )

    return store.make(
        CONDITION_TIER,
        config,
        build,
        inputs={"recordings": [ref for ref, _ in pairs], "image_hashes": [ref for _, ref in pairs]},
    )


def _in_order(
    scans: Sequence[tuple[Recorded, ArtifactRef]], group_id: int
) -> list[tuple[Recorded, ArtifactRef]]:
    keys = [(source.scan.animal_id, source.scan.session, source.scan.scan_idx) for source, _ in scans]
    if len(set(keys)) < len(keys):
        raise DataError(f"group {group_id} has a scan twice; expected each scan's recording once")
    return [scan for _, scan in sorted(zip(keys, scans, strict=True), key=lambda pair: pair[0])]


def known_hashes(natural: Sequence[pl.DataFrame], hashes: Sequence[pl.DataFrame]) -> tuple[pl.DataFrame, int]:
    """Gather the hashes of the natural images of several scans, each condition once.

    Parameters
    ----------
    natural
        Each scan's rows of `natural_conditions`.
    hashes
        Each scan's ``condition_hash, phash, flat``.

    Returns
    -------
    Table ``condition_hash, source, phash``, and how many images were left out because they show nothing.
    """
    key = (
        pl.when(pl.col("source_id") != "")
        .then(pl.format("source {}", "source_id"))
        .otherwise(pl.format("image {}/{}", "image_class", "image_id"))
    )
    joined = [
        rows.select("condition_hash", source=key).join(table, on="condition_hash", maintain_order="left")
        for rows, table in zip(natural, hashes, strict=True)
    ]
    every = pl.concat(joined).unique("condition_hash", keep="first", maintain_order=True)
    return every.filter(~pl.col("flat")).drop("flat"), int(every["flat"].sum())


def _with_tiers(pairs: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Say where the images of each pair come from and what tiers they have."""
    for side in ("a", "b"):
        facts = {f"{name}_{side}": pl.col(name) for name in ("condition_hash", "source_id", "tier")}
        of = table.select(**facts)
        pairs = pairs.join(of, on=f"condition_hash_{side}", how="left", maintain_order="left")
    return pairs.with_columns(across_tiers=pl.col("tier_a") != pl.col("tier_b"))

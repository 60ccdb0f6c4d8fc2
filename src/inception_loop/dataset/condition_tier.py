"""The tiers of a group as an artifact: a new set of scans makes a new one, which says what it moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import Tiers
from inception_loop.dataset.near_duplicates import near_duplicates, perceptual_hashes
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
    store: ArtifactStore, config: ConditionTierConfig, *, recordings: Sequence[ArtifactRef]
) -> Outcome:
    """Make the tiers of the set of scans; the order of ``recordings`` does not matter.

    Table ``moved`` names the images whose tier the other scans changed; ``near_duplicates`` those of two
    sources that look alike, at most 10,000 pairs, nearest first. Findings: images per tier; how many moved;
    how many pairs look alike, and how many of these have two tiers; how many images have no hash because
    they show nothing.

    Raises
    ------
    DataError
        If a scan comes twice, or see `assign_tiers`.
    """
    refs = sorted(set(recordings), key=lambda ref: ref.digest)
    rules = config.tiers

    def build(attempt: Attempt) -> None:
        sources = _in_order([load_recording(store, ref) for ref in refs], config.group_id)
        shown = [shown_conditions(source.trials, source.conditions) for source in sources]
        hashes, n_flat = hash_images(sources, natural_conditions(shown, rules), attempt.progress)
        pairs = near_duplicates(hashes, rules.near_distance)
        alike = pairs if rules.near_duplicates == "same_tier" else None
        table = assign_tiers(shown, rules, alike)
        moved = moved_images(shown, table, rules, alike)
        twins = _with_tiers(pairs, table)
        scans = pl.DataFrame([source.scan.model_dump() for source in sources]).with_columns(
            closed_loop=pl.Series(is_closed_loop(one["image_class"].to_list(), rules) for one in shown)
        )
        attempt.write_table("condition_tier", table)
        attempt.write_table("scans", scans)
        numbered = scans.drop("closed_loop").with_row_index("scan").cast({"scan": pl.Int64})
        attempt.write_table("moved", numbered.join(moved, on="scan", maintain_order="right").drop("scan"))
        attempt.write_table("near_duplicates", twins.head(MOST_REPORTED))
        attempt.report(
            images_per_tier=dict(table.group_by("tier").len().sort("tier").rows()),
            images_moved=moved["condition_hash"].n_unique(),
            near_duplicates=twins.height,
            near_duplicates_across_tiers=int(twins["across_tiers"].sum()),
            images_without_hash=n_flat,
        )

    return store.make(CONDITION_TIER, config, build, inputs={"recordings": refs})


def _in_order(sources: Sequence[Recorded], group_id: int) -> list[Recorded]:
    keys = [(source.scan.animal_id, source.scan.session, source.scan.scan_idx) for source in sources]
    if len(set(keys)) < len(keys):
        raise DataError(f"group {group_id} has a scan twice; expected each scan's recording once")
    return [source for _, source in sorted(zip(keys, sources, strict=True), key=lambda pair: pair[0])]


def hash_images(
    sources: Sequence[Recorded],
    natural: Sequence[pl.DataFrame],
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> tuple[pl.DataFrame, int]:
    """Hash the natural images of several scans, each condition once.

    Parameters
    ----------
    sources, natural
        The scans, and their rows of `natural_conditions`.
    progress
        Receives ``(done, total, text)``.

    Returns
    -------
    Table ``condition_hash, source, phash``, and how many images were left out because they show nothing.
    """
    key = (
        pl.when(pl.col("source_id") != "")
        .then(pl.format("source {}", "source_id"))
        .otherwise(pl.format("image {}/{}", "image_class", "image_id"))
    )
    known = pl.DataFrame(schema={"condition_hash": pl.String, "source": pl.String, "phash": pl.UInt64})
    seen: set[str] = set()
    n_flat = 0
    for position, (source, rows) in enumerate(zip(sources, natural, strict=True)):
        progress(position, len(sources), "images compared by perceptual hash")
        new = rows.filter(~pl.col("condition_hash").is_in(list(seen))).select("condition_hash", source=key)
        seen.update(new["condition_hash"])
        new = new.join(source.conditions.select("condition_hash", "image_row"), on="condition_hash")
        new = new.sort("image_row")  # read front to back
        if new.height == 0:
            continue  # its images are not even opened
        hashes, flat = perceptual_hashes(source.images, new["image_row"].to_numpy())
        n_flat += int(flat.sum())
        new = new.with_columns(phash=pl.Series(hashes, dtype=pl.UInt64)).filter(pl.Series(~flat))
        known = pl.concat([known, new.select(known.columns)])
    return known, n_flat


def _with_tiers(pairs: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Say where the images of each pair come from and what tiers they have."""
    for side in ("a", "b"):
        facts = {f"{name}_{side}": pl.col(name) for name in ("condition_hash", "source_id", "tier")}
        of = table.select(**facts)
        pairs = pairs.join(of, on=f"condition_hash_{side}", how="left", maintain_order="left")
    return pairs.with_columns(across_tiers=pl.col("tier_a") != pl.col("tier_b"))

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
from inception_loop.dataset.drawing import FROM_GIVEN
from inception_loop.dataset.near_duplicates import near_duplicates
from inception_loop.dataset.scan_tables import BOOL, I64, TEXT
from inception_loop.dataset.tiers import (
    NO_TIER,
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

_SOURCE = (
    pl.when(pl.col("source_id") != "")
    .then(pl.format("source {}", "source_id"))
    .otherwise(pl.format("image {}/{}", "image_class", "image_id"))
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
    they show nothing; how many were drawn from given train images; how many sources have images of two tiers
    (given ones: nothing else splits a source); how many identities (class and number) stand for pictures that
    do not look alike, with the first of them.

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
        clashes = identities_of_two_pictures(natural_conditions(shown, rules), tables, rules.near_distance)
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
            images_drawn_from_given=table.filter(reason=FROM_GIVEN).height,
            sources_in_two_tiers=sources_in_two_tiers(table),
            identities_of_two_pictures=len(clashes),
            first_identity_of_two_pictures=clashes[0] if clashes else "",
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
    joined = [
        rows.select("condition_hash", source=_SOURCE).join(table, on="condition_hash", maintain_order="left")
        for rows, table in zip(natural, hashes, strict=True)
    ]
    every = pl.concat(joined).unique("condition_hash", keep="first", maintain_order=True)
    return every.filter(~pl.col("flat")).drop("flat"), int(every["flat"].sum())


def sources_in_two_tiers(table: pl.DataFrame) -> int:
    """Count the sources whose images have more than one tier.

    Parameters
    ----------
    table
        As of `assign_tiers`; images without a source are their own.

    Examples
    --------
    >>> table = pl.DataFrame({"image_class": ["natural"] * 4, "image_id": [1, 2, 3, 4],
    ...                       "source_id": ["a", "a", "", "b"], "tier": ["train", "test", "test", "none"]})
    >>> sources_in_two_tiers(table)
    1
    """
    tiers = table.filter(pl.col("tier") != NO_TIER).group_by(_SOURCE.alias("source"))
    return tiers.agg(n=pl.col("tier").n_unique()).filter(pl.col("n") > 1).height


def identities_of_two_pictures(
    natural: Sequence[pl.DataFrame], hashes: Sequence[pl.DataFrame], distance: int
) -> list[str]:
    """Name the identities (class and number) under which different pictures were shown.

    The same picture may have several condition hashes (shown for another time, stored at another size), so
    that perceptual hashes decide: two pictures differ where more than ``distance`` bits do, or where one
    shows nothing and the other something.

    Parameters
    ----------
    natural
        Each scan's rows of `natural_conditions`.
    hashes
        Each scan's ``condition_hash, phash, flat``.
    distance
        Bits of 64 in which hashes of one picture differ, at most.

    Returns
    -------
    ``class/number`` of each, by class and number.
    """
    joined = [
        rows.select("condition_hash", "image_class", "image_id").join(table, on="condition_hash")
        for rows, table in zip(natural, hashes, strict=True)
    ]
    identity = ["image_class", "image_id"]
    every = pl.concat(joined).unique().sort(*identity, "condition_hash")
    first = pl.col("phash", "flat").first().over(identity).name.suffix("_first")
    bits = (pl.col("phash") ^ pl.col("phash_first")).bitwise_count_ones()
    other = (pl.col("flat") != pl.col("flat_first")) | (~pl.col("flat") & (bits > distance))
    clashes = every.with_columns(first).filter(other).select(identity).unique().sort(identity)
    return clashes.select(pl.format("{}/{}", *identity)).to_series().to_list()


def _with_tiers(pairs: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Say where the images of each pair come from and what tiers they have."""
    for side in ("a", "b"):
        facts = {f"{name}_{side}": pl.col(name) for name in ("condition_hash", "source_id", "tier")}
        of = table.select(**facts)
        pairs = pairs.join(of, on=f"condition_hash_{side}", how="left", maintain_order="left")
    return pairs.with_columns(across_tiers=pl.col("tier_a") != pl.col("tier_b"))

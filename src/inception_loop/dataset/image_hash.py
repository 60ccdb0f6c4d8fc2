"""Perceptual hash of every image of a scan: made once, compared with whatever scans share its group."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.near_duplicates import perceptual_hashes
from inception_loop.dataset.scan_tables import BOOL, TEXT, ScanConfig
from inception_loop.recordings.archive import load_recording

IMAGE_HASH = Kind(
    name="image_hash",
    version=1,
    meaning="A perceptual hash of every condition's image: similar pictures have similar hashes.",
    payloads={
        "image_hash": Table(
            {
                "condition_hash": Column(TEXT, "content hash of the image and its presentation"),
                "phash": Column(pa.uint64(), "64 bits: which low spatial frequencies are strong"),
                "flat": Column(BOOL, "whether the image shows nothing, so that its hash says nothing"),
            }
        )
    },
    partition=SCAN,
)


def make_image_hash(store: ArtifactStore, config: ScanConfig, *, recording: ArtifactRef) -> Outcome:
    """Make the perceptual hashes of a scan's images; see `perceptual_hashes`."""

    def build(attempt: Attempt) -> None:
        source = load_recording(store, recording)
        shown = source.conditions.select("condition_hash", "image_row").sort("image_row")  # read in order
        hashes, flat = perceptual_hashes(source.images, shown["image_row"].to_numpy())
        table = shown.select("condition_hash", phash=pl.Series(hashes, dtype=pl.UInt64), flat=pl.Series(flat))
        attempt.write_table("image_hash", table)
        attempt.report(n_images=table.height, n_flat=int(flat.sum()))

    return store.make(IMAGE_HASH, config, build, inputs={"recording": recording})

"""What a report shows of trials and shown images, read from the artifacts of a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.images import shown_images
from inception_loop.recordings.recording import ScanKey

Refs = Mapping[str, Sequence[ArtifactRef]]
Pixels = npt.NDArray[np.uint8]

WIDTH = 64
"""Shown images are averaged to at most so many columns, so that 150 units stay small."""

NO_RESPONSES = pl.DataFrame(
    schema={
        "scan": pl.String,
        "animal_id": pl.Int64,
        "session": pl.Int64,
        "scan_idx": pl.Int64,
        "model_type": pl.String,
        "source_unit_id": pl.Int64,
        "unit_id": pl.Int64,
        "condition_hash": pl.String,
        "trial_idx": pl.Int64,
        "response": pl.Float64,
        "z_response": pl.Float64,
    }
)
NO_SHOWN = pl.DataFrame(
    schema={
        "place": pl.Int64,
        "model_type": pl.String,
        "source_unit_id": pl.Int64,
        "condition_hash": pl.String,
    }
)


def collect_own_responses(store: ArtifactStore, refs: Refs) -> pl.DataFrame:
    """Return every trial in which a matched cell saw an image of its own unit; none of an older loop."""
    parts = [NO_RESPONSES]
    for ref in refs.get("own_response", ()):
        scan = ScanKey.model_validate(store.manifest(ref).config["scan"])
        rows = store.table(ref, "own_response").with_columns(pl.lit(str(scan)).alias("scan"))
        parts.append(rows.select(NO_RESPONSES.columns))
    return pl.concat(parts)


def collect_shown(
    store: ArtifactStore, refs: Refs, source_name: str | None = None
) -> tuple[pl.DataFrame, Pixels]:
    """Return which image was shown for which unit, and the images, small.

    Parameters
    ----------
    store, refs
        Where and what.
    source_name
        Member of the group that is the source scan: sets may hold images for units of others too.

    Returns
    -------
    Table ``place, model_type, source_unit_id, condition_hash``, a row an image and unit; (K, h, w) uint8 grey
    levels as sent to the monitor, averaged to at most `WIDTH` columns.
    """
    parts: list[pl.DataFrame] = [NO_SHOWN]
    pictures: list[Pixels] = []
    n = 0
    for ref in refs.get("stimulus_set", ()):
        conditions = store.table(ref, "conditions")
        rows = shown_images(conditions, source_name).rename({"image_unit_id": "source_unit_id"})
        first = conditions.select("condition_hash", "image_row").unique("condition_hash", keep="first")
        chosen = rows.join(first, on="condition_hash").sort("model_type", "source_unit_id", "condition_hash")
        kept = chosen["image_row"].unique().sort()
        images = store.arrays(ref, "images")["images"]
        place = pl.DataFrame({"image_row": kept, "place": np.arange(n, n + len(kept))})
        parts.append(chosen.join(place, on="image_row", maintain_order="left").select(NO_SHOWN.columns))
        pictures.append(smaller(np.asarray(images[kept.to_numpy()])))
        n += len(kept)
    shapes = {picture.shape[1:] for picture in pictures}
    if len(shapes) != 1:  # no set, or sets of different monitors
        return NO_SHOWN, np.zeros((0, 1, 1), np.uint8)
    table = pl.concat(parts).unique(["model_type", "source_unit_id"], keep="first", maintain_order=True)
    return table, np.concatenate(pictures)


def smaller(images: Pixels, width: int = WIDTH) -> Pixels:
    """Return (K, H, W) images averaged over whole blocks of pixels to at most ``width`` columns.

    Examples
    --------
    >>> smaller(np.array([[[0, 10, 20, 30], [0, 10, 20, 30]]], np.uint8), 2).tolist()
    [[[5, 25]]]
    """
    block = -(-images.shape[2] // width)
    if block == 1:
        return images
    height, columns = (size // block * block for size in images.shape[1:])
    cut = images[:, :height, :columns].reshape(len(images), height // block, block, columns // block, block)
    averaged: Pixels = np.rint(cut.mean(axis=(2, 4))).astype(np.uint8)
    return averaged


def collect_assigned(store: ArtifactStore, refs: Refs) -> pl.DataFrame:
    """Return what the one-to-one assignment says of each source unit, where it was made."""
    schema = {
        "scan": pl.String,
        "source_unit_id": pl.Int64,
        "assigned_unit_id": pl.Int64,
        "probability": pl.Float64,
    }
    parts = [pl.DataFrame(schema=schema)]
    for ref in refs.get("assigned_cell_match", ()):
        scan = ScanKey.model_validate(store.manifest(ref).config["scan"])
        rows = store.table(ref, "assigned_cell_match").select(
            pl.lit(str(scan)).alias("scan"),
            "source_unit_id",
            pl.col("unit_id").alias("assigned_unit_id"),
            "probability",
        )
        parts.append(rows)
    return pl.concat(parts)

"""Where a search takes its pictures from: an image set, a tier of a member's scan, or a scan's frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.config import Tier
from inception_loop.dataset.parts import by_member
from inception_loop.errors import DataError
from inception_loop.images.natural.image_set import IMAGE_SET, content_hash

Images = npt.NDArray[np.float32]
BLOCK = 512  # images in memory at a time


class Which(Config):
    """Which of the pictures that an artifact holds are searched; an image set is searched as a whole."""

    tier: Tier = Field("train", description="Of a dataset: the tier of the images.")
    image_classes: tuple[str, ...] = Field(
        ("imagenet", "natural"), description="Of a scan's frames: the classes of the images."
    )


@dataclass(frozen=True)
class Searched:
    """Pictures to search, on disk until they are asked for.

    Attributes
    ----------
    frames : (F, H, W) float32, grey levels
        May be memory-mapped.
    rows : (K,) int64
        Frame of each picture.
    table : ``condition_hash`` (null: never shown to the animal), ``source_id``
        A row a picture.
    where
        What an error calls them.
    """

    frames: Images
    rows: npt.NDArray[np.int64]
    table: pl.DataFrame
    where: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width), px."""
        return self.frames.shape[1], self.frames.shape[2]

    def take(self, which: npt.NDArray[np.int64]) -> Images:
        """Return some pictures, (n, H, W), in the order asked for."""
        return np.asarray(self.frames[self.rows[which]], np.float32)

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[int, Images]]:
        """Yield all pictures in order, each block with the number of its first."""
        for start in range(0, len(self), size):
            yield start, self.take(np.arange(start, min(start + size, len(self))))

    def described(self, which: npt.NDArray[np.int64]) -> pl.DataFrame:
        """Return the rows ``condition_hash, source_id, content_hash`` of some pictures."""
        hashes = pl.Series("content_hash", [content_hash(picture) for picture in self.take(which)], pl.String)
        return self.table[which].with_columns(hashes)

    def check(self, image_size: tuple[int, int], n_units: int) -> None:
        """Refuse pictures that the networks cannot see, or too few.

        Raises
        ------
        DataError
            If their size is another, or there are fewer pictures than units that want one.
        """
        if self.image_size != image_size:
            raise DataError(
                f"{self.where} holds images of {_by(self.image_size)} px; expected {_by(image_size)}, which "
                "the networks see; import the pictures at that size"
            )
        if len(self) < n_units:
            raise DataError(
                f"{self.where} holds {len(self)} images for {n_units} units; expected at least one a unit; "
                "give more images or ask for fewer units"
            )


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def in_memory(frames: Images, source_id: list[str] | None = None, where: str = "the stack") -> Searched:
    """Return (K, H, W) pictures as they are to be searched.

    Examples
    --------
    >>> len(in_memory(np.zeros((3, 36, 64), np.float32)))
    3
    """
    n = len(frames)
    names = [str(row) for row in range(n)] if source_id is None else source_id
    table = pl.DataFrame(
        {"condition_hash": [None] * n, "source_id": names}, schema_overrides={"condition_hash": pl.String}
    )
    return Searched(frames, np.arange(n), table, where)


def searched(store: ArtifactStore, pictures: ArtifactRef, name: str, which: Which | None = None) -> Searched:
    """Return the pictures that an artifact holds.

    Parameters
    ----------
    store
        Where it lies.
    pictures
        An ``image_set``; a ``static_multi_dataset``, of which the used trials' images of a tier of a member
        are taken, each once; or a ``frame``: all images of a scan.
    name
        The member.
    which
        The tier, or the classes of the images.

    Raises
    ------
    DataError
        If the artifact is of another kind, or has no such images.
    """
    which = which or Which()
    if pictures.kind == IMAGE_SET.name:
        table = store.table(pictures, "image_set")
        table = table.select(pl.lit(None, pl.String).alias("condition_hash"), "source_id")
        return Searched(
            store.arrays(pictures, "images")["images"], np.arange(table.height), table, str(pictures)
        )
    if pictures.kind == "static_multi_dataset":
        return _of_tier(store, pictures, name, which.tier)
    if pictures.kind == "frame":
        conditions = store.table(pictures, "conditions")
        rows = np.flatnonzero(conditions["image_class"].is_in(which.image_classes).to_numpy())
        if len(rows) == 0:
            classes = ", ".join(conditions["image_class"].unique().sort())
            raise DataError(
                f"{pictures} has no image of the classes {', '.join(which.image_classes)}; it has {classes}; "
                "expected natural images; name other classes"
            )
        return _of_frame(store, pictures, rows, str(pictures))
    raise DataError(
        f"{pictures} holds no pictures to search; expected an image_set, a static_multi_dataset or a frame"
    )


def _of_tier(store: ArtifactStore, dataset: ArtifactRef, name: str, tier: Tier) -> Searched:
    names = store.table(dataset, "members")["name"].to_list()
    if name not in names:
        raise DataError(f"{dataset} has no member {name!r}; expected one of {', '.join(names)}")
    frame = by_member(store.inputs(dataset))[names.index(name)]["frame"]
    trials = store.table(dataset, "trials").filter(pl.col("used"), name=name, tier=tier)
    rows = np.unique(trials["frame_row"].to_numpy())
    if len(rows) == 0:
        raise DataError(
            f"{name} has no used trial of tier {tier!r}; expected at least one; choose another tier"
        )
    return _of_frame(store, frame, rows, f"tier {tier} of {name}")


def _of_frame(store: ArtifactStore, frame: ArtifactRef, rows: npt.NDArray[np.int64], where: str) -> Searched:
    table = store.table(frame, "conditions")[rows].select("condition_hash", "source_id")
    return Searched(store.arrays(frame, "frames")["frames"], rows, table, where)

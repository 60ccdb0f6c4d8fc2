"""Pictures of a Sensorium 2022 folder: each kept once, repeats found by id and by content, tiers honoured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.grey_levels import ROUNDING, WHITE, check_grey_levels
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.sensorium.meta import Meta
from inception_loop.recordings.sensorium.npy_rows import NpyRows

_STRICTNESS = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Shown:
    """What was shown.

    Attributes
    ----------
    images : (K, H, W) uint8 or float32, each picture once
    conditions : one row a picture, with its tier
    condition_hash : of each trial, in the order asked for
    leaks : position of a trial → why it must be left out: its picture is in a stricter tier under another id
    """

    images: npt.NDArray[Any]
    conditions: pl.DataFrame
    condition_hash: list[str]
    leaks: dict[int, str]


@dataclass(frozen=True)
class _Picture:
    row: int
    image_class: str
    image_id: int
    tier: str  # the strictest of its trials


def read_images(files: NpyRows, meta: Meta, numbers: list[int], options: ReadOptions) -> Shown:
    """Read the image of each trial.

    Raises
    ------
    RecordingError
        Naming trials and file: images of two sizes or types, several channels, NaN, no grey levels 0..255; an
        id with two pictures, or with two tiers.
    """
    shown_s = options.shown_s if meta.shown_s is None else meta.shown_s
    first = _grey(files, numbers[0])
    images = np.empty((len(numbers), *first.shape), first.dtype)  # rows never written take no memory
    pictures: dict[str, _Picture] = {}
    hashes = []
    names = _Names(meta, options)
    for number in numbers:
        images[len(pictures)] = _of_type(files, number, numbers[0], first.dtype)
        digest = condition_hash(images[len(pictures)], shown_s)
        hashes.append(digest)
        known = pictures.get(digest)
        name = names.of(number, len(pictures) if known is None else known.image_id)
        names.check(number, name, digest)
        tier = meta.tier_of[number]
        if known is None or _STRICTNESS[tier] > _STRICTNESS[known.tier]:
            pictures[digest] = _Picture(len(pictures) if known is None else known.row, *name, tier)
    images = images[: len(pictures)]
    check_grey_levels(images, files.name)
    return Shown(images, _conditions(pictures), hashes, _leaks(meta, numbers, hashes, pictures))


class _Names:
    """Class and id of the picture of each trial, and whether the content agrees."""

    def __init__(self, meta: Meta, options: ReadOptions) -> None:
        self._meta = meta
        self._class = options.image_class
        self._seen: dict[tuple[str, int], tuple[str, int]] = {}

    def of(self, number: int, fallback: int) -> tuple[str, int]:
        """Return class and id; without ids pictures are numbered as they are first seen."""
        classes, ids = self._meta.image_classes, self._meta.image_ids
        image_class = self._class if classes is None else classes[number]
        return image_class, fallback if ids is None else int(ids[number])

    def check(self, number: int, name: tuple[str, int], digest: str) -> None:
        """Refuse an id with two pictures or two tiers."""
        other, first = self._seen.setdefault(name, (digest, number))
        what = f"trials {first} and {number} show image {name[1]} of class {name[0]!r}"
        if other != digest:
            raise self._meta.fail(
                f"{what}, but data/images/{first}.npy and data/images/{number}.npy differ; "
                "expected one picture an id; correct meta/trials/frame_image_id.npy or the image"
            )
        tiers = self._meta.tier_of[first], self._meta.tier_of[number]
        if tiers[0] != tiers[1]:
            raise self._meta.fail(
                f"{what}, but one is of tier {tiers[0]} and the other of tier {tiers[1]}; "
                "expected one tier an image; correct meta/trials/tiers.npy"
            )


def _grey(files: NpyRows, number: int) -> npt.NDArray[Any]:
    """Return one image (H, W) as uint8 or float32."""
    array = files.read(number)
    where = f"{files.name}/{number}.npy of trial {number}"
    if array.ndim == 3 and array.shape[0] > 1 and (array == array[:1]).all():
        array = array[:1]  # grey, written once for each channel
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2 or not array.size:
        raise RecordingError(
            f"{where} has shape {array.shape}; expected one grey image (1, height, width); choose one channel"
        )
    if array.dtype.kind == "b":
        raise RecordingError(f"{where} holds truth values; expected grey levels 0..255")
    low, high = float(array.min()), float(array.max())
    if not (low >= -ROUNDING and high <= WHITE + ROUNDING):
        raise RecordingError(
            f"{where} has values from {low:g} to {high:g}; expected finite grey levels 0..255; "
            "undo what was done to them"
        )
    return array.astype(np.float32 if array.dtype.kind == "f" else np.uint8, copy=False)


def _of_type(files: NpyRows, number: int, first: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    image = _grey(files, number)
    if image.dtype != dtype:
        raise RecordingError(
            f"{files.name}/{number}.npy of trial {number} holds {image.dtype}, but {first}.npy {dtype}; "
            "expected one type; write all of them as uint8 or as float32"
        )
    return image


def _conditions(pictures: dict[str, _Picture]) -> pl.DataFrame:
    found = list(pictures.values())
    return pl.DataFrame(
        {
            "condition_hash": list(pictures),
            "image_class": [picture.image_class for picture in found],
            "image_id": [picture.image_id for picture in found],
            "source_id": [""] * len(found),
            "image_row": [picture.row for picture in found],
            "tier": [picture.tier for picture in found],
        }
    )


def _leaks(
    meta: Meta, numbers: list[int], hashes: list[str], pictures: dict[str, _Picture]
) -> dict[int, str]:
    leaks = {}
    for row, (number, digest) in enumerate(zip(numbers, hashes, strict=True)):
        picture, own = pictures[digest], meta.tier_of[number]
        if picture.tier != own:
            leaks[row] = (
                f"tier {own}, but the same picture is image {picture.image_id} of tier {picture.tier}"
            )
    return leaks

"""Tables and series of an NWB file that say which image was on when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.images import ImageSet, find_images, open_images
from inception_loop.recordings.nwb.names import last
from inception_loop.recordings.options import ReadOptions

IMAGE_COLUMNS = (
    "image_name",
    "image",
    "image_index",
    "image_idx",
    "image_id",
    "frame",
    "stimulus_index",
    "stimulus_id",
    "template_index",
)
_TRIAL_COLUMNS = ("trial_idx", "trial_number", "trial_index")
_TIERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val"), "validation"),
    **dict.fromkeys(("test", "testing", "oracle"), "test"),
    **dict.fromkeys(("", "none", "nan", "null"), ""),
}
_SAID = {"tier": ("tier", "split", "subset"), "source_id": ("source_id",), "image_class": ("image_class",)}
_BLANKS = ("", "nan", "none", "null", "blank", "omitted", "gray", "grey")
_WRAPPED = 2**32 - 1


@dataclass(frozen=True)
class Shown:
    """One row a presentation, in order; ``number`` is the image (-1: none)."""

    place: str
    images: ImageSet
    number: npt.NDArray[np.int64]
    trial_idx: npt.NDArray[np.int64]
    onset: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    clear: npt.NDArray[np.float64]
    said: dict[str, list[str]] = field(default_factory=dict)


def find_shown(nwb: NwbFile, options: ReadOptions) -> Shown:
    """Return every presentation that the file lists; see `read_stimuli` for the choice.

    Raises
    ------
    RecordingError
        If images or presentations are lacking, ambiguous, or do not fit each other.
    """
    holders = find_images(nwb)
    if not holders:
        raise nwb.refused(
            "holds no images: neither an ImageSeries nor Images in /stimulus/templates; expected the images "
            "that were shown"
        )
    named = options.names.get("trials")
    if named is not None:
        found = nwb.at(named)
        if isinstance(found, h5py.Group) and _is_intervals(found):
            return _from_intervals(nwb, found, holders, options)
        if isinstance(found, h5py.Group) and _indexed(nwb, found) is not None:
            return _from_index(nwb, found)
        raise nwb.refused(
            f"has neither a table of intervals nor an IndexSeries at {named!r} (names.trials); "
            f"expected one of {_listed(_tables(nwb, options) + _series(nwb))}"
        )
    for candidates, read in ((_tables(nwb, options), None), (_series(nwb), _from_index)):
        if len(candidates) > 1:
            raise nwb.refused(
                f"has several tables of what was shown: {_listed(candidates)}; expected one; "
                "choose it as names.trials"
            )
        if candidates:
            return read(nwb, candidates[0]) if read else _from_intervals(nwb, candidates[0], holders, options)
    raise nwb.refused(
        "does not say when its images were shown: no table in /intervals with a column of images "
        f"({', '.join(IMAGE_COLUMNS)}, or names.image) and no IndexSeries in /stimulus/presentation"
    )


def _tables(nwb: NwbFile, options: ReadOptions) -> list[h5py.Group]:
    """Return the tables of intervals that name images."""
    wanted = (options.names["image"],) if "image" in options.names else IMAGE_COLUMNS
    return [
        group
        for place in ("/intervals", "/stimulus/presentation")
        for group in nwb.walk(place)
        if _is_intervals(group) and any(name in group for name in wanted)
    ]


def _series(nwb: NwbFile) -> list[h5py.Group]:
    return [group for group in nwb.walk("/stimulus/presentation") if _indexed(nwb, group) is not None]


def _is_intervals(group: h5py.Group) -> bool:
    return "start_time" in group and "stop_time" in group


def _indexed(nwb: NwbFile, group: h5py.Group) -> h5py.Group | None:
    """Return the images that an IndexSeries counts in, or None where it is none."""
    found = (nwb.group(group, name) for name in ("indexed_images", "indexed_timeseries") if name in group)
    return next((images for images in found if images is not None), None)


def _from_index(nwb: NwbFile, series: h5py.Group) -> Shown:
    holder = _indexed(nwb, series)
    data = nwb.dataset(series, "data")
    if holder is None or data is None or data.ndim != 1 or data.dtype.kind not in "iuf":
        raise nwb.refused(
            f"{series.name} is no IndexSeries; expected data of image numbers and linked images"
        )
    images = open_images(nwb, holder)
    _refuse_unordered(nwb, images)
    raw = nwb.array(data)
    onset = nwb.times(series, len(raw))
    if len(onset) != len(raw):
        raise nwb.refused(f"{series.name} has {len(raw)} images but {len(onset)} times; expected one of each")
    rows = np.arange(len(raw), dtype=np.int64)
    number = _numbers(nwb, raw, images, str(series.name), rows)
    nan = np.full(len(raw), np.nan)
    return Shown(str(series.name), images, number, rows, onset, nan, nan)


def _from_intervals(
    nwb: NwbFile, table: h5py.Group, holders: list[h5py.Group], options: ReadOptions
) -> Shown:
    place = str(table.name)
    trial_idx = _trial_idx(nwb, table)
    images = _images_of(nwb, table, holders, options)
    clear = "clear_flip" in table
    return Shown(
        place,
        images,
        _image_numbers(nwb, table, images, trial_idx, options),
        trial_idx,
        times(nwb, table, "start_time"),
        times(nwb, table, "stop_time"),
        times(nwb, table, "clear_flip") if clear else np.full(len(trial_idx), np.nan),
        _said(nwb, table, trial_idx),
    )


def _trial_idx(nwb: NwbFile, table: h5py.Group) -> npt.NDArray[np.int64]:
    name = next((name for name in _TRIAL_COLUMNS if name in table), "id")
    found = nwb.column(table, name)
    if found is None or found.ndim != 1 or found.dtype.kind not in "iu":
        raise nwb.refused(f"{table.name}/{name} holds no whole numbers; expected the number of each trial")
    numbers: npt.NDArray[np.int64] = found.astype(np.int64)
    values, counts = np.unique(numbers, return_counts=True)
    if (counts > 1).any():
        raise nwb.refused(
            f"trial {values[counts > 1][0]} stands twice in {table.name}/{name}; expected each once"
        )
    return numbers


def _images_of(nwb: NwbFile, table: h5py.Group, holders: list[h5py.Group], options: ReadOptions) -> ImageSet:
    """Return the images that a table speaks of: those named, those of its own name, or the only ones."""
    named = options.names.get("images")
    if named is not None:
        chosen = [group for group in holders if group.name == named.rstrip("/")]
        if not chosen:
            raise nwb.refused(
                f"has no images at {named!r} (names.images); expected one of {_listed(holders)}"
            )
        return open_images(nwb, chosen[0])
    stem = last(table).removesuffix("_presentations")
    same = [group for group in holders if last(group) == stem]
    chosen = same or holders
    if len(chosen) > 1:
        raise nwb.refused(
            f"has several sets of images: {_listed(chosen)}; expected one for {table.name}; "
            "choose it as names.images"
        )
    return open_images(nwb, chosen[0])


def _image_numbers(
    nwb: NwbFile, table: h5py.Group, images: ImageSet, trials: npt.NDArray[np.int64], options: ReadOptions
) -> npt.NDArray[np.int64]:
    """Return the number of each row's image from the first column that says it."""
    wanted = (options.names["image"],) if "image" in options.names else IMAGE_COLUMNS
    tried = []
    for name in wanted:
        found = nwb.column(table, name)
        if found is None or found.ndim != 1:
            continue
        if found.dtype.kind == "U" and images.names:
            return _by_name(nwb, found, images, f"{table.name}/{name}", trials)
        if found.dtype.kind in "iuf" and images.numbered:
            return _numbers(nwb, found, images, f"{table.name}/{name}", trials)
        tried.append(name)
    if tried and not images.numbered:
        _refuse_unordered(nwb, images)
    raise nwb.refused(
        f"{table.name} does not tell the images of {images.place} "
        f"({'named' if images.names else 'without names'}): columns {', '.join(tried) or 'none'}; "
        "expected image names or numbers from 0; say the column as names.image"
    )


def _refuse_unordered(nwb: NwbFile, images: ImageSet) -> None:
    if not images.numbered:
        raise nwb.refused(
            f"{images.place} has no order_of_images, and the names of its images are not numbered 0, 1, …; "
            "expected one of the two where images are shown by number"
        )


def _by_name(
    nwb: NwbFile, names: npt.NDArray[Any], images: ImageSet, where: str, trials: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    known = {name: number for number, name in enumerate(images.names)}
    numbers = np.array(
        [known.get(name, -1 if name.strip().lower() in _BLANKS else -2) for name in names.tolist()], np.int64
    )
    if (numbers == -2).any():
        row = int((numbers == -2).argmax())
        some = ", ".join(images.names[:4])
        raise nwb.refused(
            f"trial {trials[row]} shows {str(names[row])!r} ({where}), which is none of the "
            f"{len(images)} images of {images.place}; expected a name such as {some}"
        )
    return numbers


def _numbers(
    nwb: NwbFile, raw: npt.NDArray[Any], images: ImageSet, where: str, trials: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return image numbers; negative ones, NaN, and −1 written as an unsigned number stand for no image."""
    values = raw.astype(np.float64)
    values = np.where(np.isnan(values) | (values < 0) | (values == _WRAPPED), -1.0, values)
    bad = (values >= len(images)) | (values != np.rint(values))
    if bad.any():
        row = int(bad.argmax())
        raise nwb.refused(
            f"trial {trials[row]} shows image {raw[row]} ({where}); expected a whole number below the "
            f"{len(images)} images of {images.place}"
        )
    return values.astype(np.int64)


def times(nwb: NwbFile, table: h5py.Group, name: str) -> npt.NDArray[np.float64]:
    """Return a column of times, s.

    Raises
    ------
    RecordingError
        If there is none.
    """
    found = nwb.column(table, name)
    if found is None or found.ndim != 1 or found.dtype.kind not in "iuf":
        raise nwb.refused(f"{table.name}/{name} holds no numbers; expected s")
    return found.astype(np.float64)


def _said(nwb: NwbFile, table: h5py.Group, trials: npt.NDArray[np.int64]) -> dict[str, list[str]]:
    """Return what the table says about images: tier, source, class."""
    said: dict[str, list[str]] = {}
    for role, names in _SAID.items():
        found = (nwb.column(table, name) for name in names if name in table)
        values = next((column for column in found if column is not None and column.ndim == 1), None)
        if values is not None and values.dtype.kind in "Uiu":
            said[role] = [str(value).strip() for value in values.tolist()]
    for row, tier in enumerate(said.get("tier", [])):
        if tier.lower() not in _TIERS:
            raise nwb.refused(
                f"trial {trials[row]} of {table.name} has tier {tier!r}; expected train, validation or test"
            )
    if "tier" in said:
        said["tier"] = [_TIERS[tier.lower()] for tier in said["tier"]]
    return said


def _listed(groups: list[h5py.Group]) -> str:
    return ", ".join(str(group.name) for group in groups) or "none"

"""Images in an NWB file: stacks and collections, read only as far as they were shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError
from inception_loop.recordings.files import inside
from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.names import last, natural, type_of
from inception_loop.recordings.presented import Images

PLACES = ("/stimulus/templates", "/stimulus/presentation")
LIMIT_BYTES = 16 * 2**30
_BLOCK_BYTES = 64 * 2**20
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class ImageSet:
    """Images under numbers 0, 1, … or names.

    Attributes
    ----------
    place : where it lies in the file
    names : names of the images by number; empty: none are given
    numbered : whether the numbers are the file's own (images of an unordered collection have names only)
    stack : (images, height, width[, colours]), for images in one dataset
    members : a dataset an image, for a collection
    """

    place: str
    names: tuple[str, ...]
    numbered: bool
    stack: h5py.Dataset | None = None
    members: tuple[h5py.Dataset, ...] = ()

    def __len__(self) -> int:
        return len(self.members) if self.stack is None else int(self.stack.shape[0])

    @property
    def called(self) -> str:
        """Name in its group."""
        return self.place.rsplit("/", 1)[-1]


def find_images(nwb: NwbFile) -> list[h5py.Group]:
    """Return the groups that hold images, templates first."""
    return [
        group
        for place in PLACES
        for group in nwb.walk(place)
        if _is_stack(nwb, group) or _pictures(nwb, group)
    ]


def open_images(nwb: NwbFile, group: h5py.Group) -> ImageSet:
    """Return the images of a group of `find_images`; pixels are read by `load`.

    Raises
    ------
    RecordingError
        If they lie in other files, or are no images.
    """
    place = str(group.name)
    if _is_stack(nwb, group):
        _refuse_external(nwb, group)
        stack = nwb.dataset(group, "data")
        if stack is None or stack.ndim not in (3, 4) or (stack.ndim == 4 and stack.shape[3] not in (1, 3, 4)):
            shape = None if stack is None else stack.shape
            raise nwb.refused(
                f"{place} has data of shape {shape}; expected (images, height, width[, colours])"
            )
        names = nwb.dataset(group, "control_description")
        told = () if names is None else tuple(str(name) for name in nwb.array(names).reshape(-1))
        return ImageSet(place, told if len(told) == len(stack) else (), True, stack=stack)
    members = _pictures(nwb, group)
    order = nwb.dataset(group, "order_of_images")
    if order is not None:
        if h5py.check_ref_dtype(order.dtype) is None:
            raise nwb.refused(f"{order.name} holds {order.dtype}; expected references to the images")
        ordered = [nwb.reference(reference, str(order.name)) for reference in order[()].reshape(-1)]
        members = [found for found in ordered if isinstance(found, h5py.Dataset)]
        return ImageSet(place, tuple(map(last, members)), True, members=tuple(members))
    members.sort(key=lambda member: natural(last(member)))
    ends = [re.search(r"[0-9]+$", last(member)) for member in members]
    numbered = [int(end[0]) if end else -1 for end in ends] == list(range(len(members)))
    return ImageSet(place, tuple(map(last, members)), numbered, members=tuple(members))


def _is_stack(nwb: NwbFile, group: h5py.Group) -> bool:
    if "external_file" in group:
        return True
    data = nwb.dataset(group, "data")
    return data is not None and data.ndim in (3, 4)


def _pictures(nwb: NwbFile, group: h5py.Group) -> list[h5py.Dataset]:
    """Return the pictures of a collection (of type Images or an extension of it)."""
    if "data" in group or "start_time" in group:
        return []
    found = [nwb.dataset(group, name) for name in group]
    return [
        member
        for member in found
        if member is not None and member.ndim in (2, 3) and "Image" in type_of(member)
    ]


def _refuse_external(nwb: NwbFile, group: h5py.Group) -> None:
    files = nwb.dataset(group, "external_file")
    if files is None or not files.size:
        return
    name = str(nwb.array(files).reshape(-1)[0])
    what = f"keeps its images in another file, {name!r}"
    try:
        there = inside(nwb.path.parent, name).is_file()
    except (RecordingError, OSError, ValueError):
        what += ", outside the folder of this one"
    else:
        what += "" if there else ", which is missing"
    raise nwb.refused(
        f"{group.name} {what}; external images are not decoded; expected the pixels inside; "
        "write them into the data of the series"
    )


def load(nwb: NwbFile, images: ImageSet, numbers: Sequence[int]) -> Images:
    """Return some images as grey levels, (K, h, w).

    Whole levels 0..255 come as uint8, others as float32; images of fractions between 0 and 1 are taken as
    shares of 255. Colours are weighted 0.299, 0.587, 0.114 (ITU-R BT.601).

    Raises
    ------
    RecordingError
        If images differ in size or hold anything but such levels.
    """
    if images.stack is not None:
        arrays = _of_stack(nwb, images.stack, numbers)
    else:
        arrays = [_of_member(nwb, images.members[number]) for number in numbers]
    shape = arrays[0].shape
    for number, array in zip(numbers, arrays, strict=True):
        if array.shape != shape:
            raise nwb.refused(
                f"{_called(images, number)} has {array.shape[0]}x{array.shape[1]} pixels but "
                f"{_called(images, numbers[0])} has {shape[0]}x{shape[1]}; expected images of one size"
            )
    return _levels(nwb, images, numbers, np.stack(arrays))


def _of_stack(nwb: NwbFile, stack: h5py.Dataset, numbers: Sequence[int]) -> list[npt.NDArray[Any]]:
    _refuse_no_numbers(nwb, nwb.whole(stack))
    one = int(np.prod(stack.shape[1:])) * stack.dtype.itemsize
    _refuse_large(nwb, stack, one * len(numbers))
    whole = stack.chunks[0] if stack.chunks else 1
    step = max(1, _BLOCK_BYTES // max(1, one) // whole) * whole
    found: dict[int, npt.NDArray[Any]] = {}
    for block in sorted({number // step for number in numbers}):
        pixels = stack[block * step : (block + 1) * step]
        inside_block = [number for number in set(numbers) if number // step == block]
        found.update({number: _grey(pixels[number - block * step]).copy() for number in inside_block})
    return [found[number] for number in numbers]


def _of_member(nwb: NwbFile, member: h5py.Dataset) -> npt.NDArray[Any]:
    _refuse_no_numbers(nwb, member)
    if member.ndim == 3 and member.shape[2] not in (1, 3, 4):
        raise nwb.refused(f"{member.name} has shape {member.shape}; expected (height, width[, colours])")
    return _grey(nwb.array(member))


def _refuse_no_numbers(nwb: NwbFile, dataset: h5py.Dataset) -> None:
    if dataset.dtype.kind not in "iuf" or 0 in dataset.shape:
        raise nwb.refused(
            f"{dataset.name} holds {dataset.dtype} of shape {dataset.shape}; expected grey levels"
        )


def _refuse_large(nwb: NwbFile, dataset: h5py.Dataset, size: int) -> None:
    if size > LIMIT_BYTES:
        raise nwb.refused(
            f"the images shown of {dataset.name} take {size / 2**30:.0f} GiB; expected at most "
            f"{LIMIT_BYTES >> 30} GiB; write them smaller"
        )


def _grey(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if image.ndim == 2:
        return image
    if image.shape[2] == 1 or (image[..., 0:1] == image[..., :3]).all():
        return image[..., 0]
    grey: npt.NDArray[Any] = image[..., :3].astype(np.float64) @ _LUMA
    return np.rint(grey).astype(image.dtype) if image.dtype.kind in "iu" else grey


def _levels(nwb: NwbFile, images: ImageSet, numbers: Sequence[int], pixels: npt.NDArray[Any]) -> Images:
    if pixels.dtype == np.uint8:
        return pixels
    low, high = pixels.min(axis=(1, 2)), pixels.max(axis=(1, 2))
    bad = ~((low >= 0) & (high <= 255))  # also NaN
    if bad.any():
        worst = int(bad.argmax())
        raise nwb.refused(
            f"{_called(images, numbers[worst])} holds levels from {low[worst]} to {high[worst]}; "
            "expected grey levels 0..255 (or shares 0..1)"
        )
    if pixels.dtype.kind == "f" and high.max() <= 1 and not (pixels == np.rint(pixels)).all():
        return (pixels.astype(np.float64) * 255).astype(np.float32)
    if pixels.dtype.kind in "iu" or (pixels == np.rint(pixels)).all():
        return pixels.astype(np.uint8)
    return pixels.astype(np.float32)


def _called(images: ImageSet, number: int) -> str:
    name = f" ({images.names[number]})" if images.names else ""
    return f"image {number}{name} of {images.place}"

"""One NPZ of images and responses, as anyone saves it with numpy.

Members (K images, T trials, N units; † has to be there)::

    images †      (K, h, w) grey levels 0..255            responses †   (T, N) one value a trial and unit
    image_row     (T,) row of the image that a trial showed; without it image i was shown in trial i
    trial_idx     (T,) number of the trial                pupil, dpupil, center_x, center_y, treadmill  (T,)
    image_id, image_class, source_id, tier                (K,) of the images
    unit_id, mask_type, brain_area, layer, um_x, um_y, um_z   (N,) of the units
    trace_kind    () deconvolved, dff or spikes

A text that is the same for all may be given once, without a dimension.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError
from inception_loop.recordings.bounded import npz
from inception_loop.recordings.columns import TABLES, TEXT, Values, as_float32, refuse_unknown
from inception_loop.recordings.grey_levels import check_grey_levels
from inception_loop.recordings.handed import Handed
from inception_loop.recordings.presented import Images

_UNITS = ("unit_id", "mask_type", "brain_area", "layer", "um_x", "um_y", "um_z")
_IMAGES = ("image_id", "image_class", "source_id", "tier")
_TRIALS = ("image_row", "trial_idx")
_EYE = {
    "pupil": "pupil_radius",
    "dpupil": "pupil_derivative",
    "center_x": "center_x",
    "center_y": "center_y",
}
_TREADMILL = {"treadmill": "speed"}
KEYS = ("images", "responses", *_TRIALS, *_EYE, *_TREADMILL, *_IMAGES, *_UNITS, "trace_kind")


def from_npz(path: Path) -> Handed:
    """Read the members of an NPZ.

    Raises
    ------
    RecordingError
        If it is damaged, has unknown members, or its members do not fit each other.
    """
    where, members = str(path), npz(path)
    refuse_unknown(members, KEYS, where)
    for name in ("images", "responses"):
        if name not in members:
            raise RecordingError(f"{where} has no {name}; expected the members images and responses")
    images = grey_levels(members["images"], where)
    responses = as_float32(members["responses"], f"{where}: responses")
    if responses.ndim != 2:
        raise RecordingError(f"{where}: responses have shape {responses.shape}; expected (trials, units)")
    n_trials, n_units = responses.shape
    if "image_row" not in members:
        if n_trials != len(images):
            raise RecordingError(
                f"{where}: {len(images)} images but {n_trials} rows of responses; expected image i shown "
                "in trial i; add image_row, the row of the image that each trial showed"
            )
        members["image_row"] = np.arange(n_trials)

    def part(names: dict[str, str], rows: int, of: str) -> dict[str, Values]:
        return {
            column: _of_each(members[name], name, rows, of, where)
            for name, column in names.items()
            if name in members
        }

    tables = {
        "units": part({name: name for name in _UNITS}, n_units, "units"),
        "trials": part({name: name for name in _TRIALS}, n_trials, "trials"),
        "conditions": part({name: name for name in _IMAGES}, len(images), "images"),
        "eye": part(_EYE, n_trials, "trials"),
        "treadmill": part(_TREADMILL, n_trials, "trials"),
    }
    tables["conditions"]["image_row"] = np.arange(len(images))
    return Handed(
        where,
        images,
        responses=responses,
        tables=tables,
        trace_kind=_one_text(members.get("trace_kind"), where),
    )


def grey_levels(images: npt.NDArray[Any], where: str) -> Images:
    """Return images as uint8 or float32 grey levels.

    Raises
    ------
    RecordingError
        If they are no (K, h, w) numbers, or no grey levels 0..255: the line names the image.
    """
    if images.ndim != 3 or images.size == 0 or images.dtype.kind not in "iuf":
        raise RecordingError(
            f"{where}: images are {images.dtype} of shape {images.shape}; expected numbers of shape "
            "(images, height, width), at least 1 image"
        )
    check_grey_levels(images, where)  # before larger whole numbers would wrap around
    if images.dtype.kind == "f":
        return images.astype(np.float32, copy=False)
    return images.astype(np.uint8, copy=False)


def _of_each(values: npt.NDArray[Any], name: str, rows: int, of: str, where: str) -> npt.NDArray[Any]:
    if values.ndim == 0 and any(columns.get(name) == TEXT for columns in TABLES.values()):
        return np.full(rows, values)
    if values.shape != (rows,):
        raise RecordingError(
            f"{where}: {name} has shape {values.shape} but there are {rows} {of}; expected one each"
        )
    return values


def _one_text(value: npt.NDArray[Any] | None, where: str) -> str | None:
    if value is None:
        return None
    if value.ndim or value.dtype.kind != "U":
        raise RecordingError(
            f"{where}: trace_kind is {value.dtype} of shape {value.shape}; expected one text"
        )
    return str(value)

"""A folder with the tables of a Recording as Parquet or NPZ, and its arrays as NPY.

Files († has to be there)::

    images.npy †          (K, h, w); or images.npz with one member images; or images/0.npy, 1.npy, … one each
    responses.npy †       (T, N); or responses.parquet, one column a unit, called by its unit_id
    traces.npy †          (N, F), instead of responses; with
    clocks.npz †          frame_times, behavior_frame_times (F,)
    trials †, units, conditions, fields, eye, treadmill, stack_coordinates, calibration, excluded_trials
                          each as .parquet, or as .npz with one member a column
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError
from inception_loop.recordings.bounded import ArrayRows, npy, npz, parquet
from inception_loop.recordings.columns import NUMBER, TABLES, Values, as_float32, refuse_unknown, typed
from inception_loop.recordings.files import inside, passed_over
from inception_loop.recordings.handed import Handed
from inception_loop.recordings.plain.npz import grey_levels

_FORMS = {
    "images": (".npy", ".npz", ""),
    "responses": (".npy", ".parquet"),
    "traces": (".npy",),
    "clocks": (".npz",),
    **dict.fromkeys(TABLES, (".parquet", ".npz")),
}
_KNOWN = {f"{name}{form}": name for name, forms in _FORMS.items() for form in forms}
_READ_HERE = (".parquet", ".npz", ".npy")
_CLOCKS = ("frame_times", "behavior_frame_times")
SIGNS = ("trials.parquet", "trials.npz", "responses.npy", "responses.parquet", "traces.npy", "units.parquet")
"""Files of which a folder of this layout has at least one."""


def from_folder(folder: Path) -> Handed:
    """Read the files of a folder; traces stay on disk.

    Raises
    ------
    RecordingError
        If a file is damaged, unknown, there in two forms, or lies outside the folder.
    """
    files = _files(folder)
    for name in ("images", "trials"):
        if name not in files:
            raise RecordingError(f"{folder} has no {name}{_FORMS[name][0]}; expected one")
    tables = {name: _table(files[name]) for name in TABLES if name in files}
    responses = None
    if "responses" in files:
        responses = _responses(files["responses"], tables)
    return Handed(
        str(folder),
        grey_levels(_images(folder, files["images"]), str(files["images"])),
        ArrayRows(npy(files["traces"], mapped=True), str(files["traces"])) if "traces" in files else None,
        responses,
        _clocks(files["clocks"]) if "clocks" in files else {},
        tables,
    )


def _files(folder: Path) -> dict[str, Path]:
    """Find the files of the layout, by what they are."""
    files: dict[str, Path] = {}
    try:
        entries = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise RecordingError(f"{folder} cannot be read ({error.strerror}); expected a folder") from error
    refuse_unknown((e for e in entries if e.endswith(_READ_HERE) and not passed_over(e)), _KNOWN, str(folder))
    for entry in entries:
        if entry in _KNOWN:
            name = _KNOWN[entry]
            if name in files:
                raise RecordingError(
                    f"{folder} has both {files[name].name} and {entry}; expected one of them"
                )
            files[name] = inside(folder, entry)
    return files


def _table(path: Path) -> Mapping[str, Values]:
    if path.suffix == ".npz":
        return npz(path)
    return {column.name: column for column in parquet(path)}


def _images(folder: Path, path: Path) -> npt.NDArray[Any]:
    if path.suffix == ".npy":
        return npy(path)
    if path.suffix == ".npz":
        members = npz(path)
        refuse_unknown(members, ("images",), str(path))
        if not members:
            raise RecordingError(f"{path} is empty; expected the member images")
        return members["images"]
    return _one_by_one(folder, path)


def _one_by_one(folder: Path, path: Path) -> npt.NDArray[Any]:
    try:
        names = [entry.name for entry in path.iterdir() if not passed_over(entry.name)]
    except OSError as error:
        raise RecordingError(f"{path} cannot be read ({error.strerror}); expected a folder") from error
    expected = [f"{row}.npy" for row in range(len(names))]
    stray = sorted(set(names) - set(expected))
    if stray or not names:
        raise RecordingError(
            f"{path} has {stray[0] if stray else 'no images'}; expected one image each in 0.npy, 1.npy, … "
            "named by its row, none left out"
        )
    images: list[npt.NDArray[Any]] = []
    for name in expected:
        image = npy(inside(folder, f"{path.name}/{name}"))
        if images and (image.shape, image.dtype) != (images[0].shape, images[0].dtype):
            raise RecordingError(
                f"{path / name} is {image.dtype} of shape {image.shape} but 0.npy is {images[0].dtype} of "
                f"{images[0].shape}; expected images of one size and type; bring them to one"
            )
        images.append(image)
    return np.stack(images)


def _responses(path: Path, tables: dict[str, Mapping[str, Values]]) -> npt.NDArray[np.float32]:
    if path.suffix == ".npy":
        return as_float32(npy(path), str(path))
    frame = parquet(path)
    columns = [typed(column, NUMBER, f"{path}: {column.name}").to_numpy() for column in frame]
    _name_units(path, frame.columns, tables)
    return as_float32(np.stack(columns, axis=1), str(path))


def _name_units(path: Path, names: list[str], tables: dict[str, Mapping[str, Values]]) -> None:
    """Match the columns of responses to the units by their numbers, so that no order is taken on trust."""
    if not names or not all(name.isascii() and name.isdigit() and len(name) < 19 for name in names):
        raise RecordingError(
            f"{path} has the columns {', '.join(names[:3])}, …; expected one a unit, called by its unit_id"
        )
    numbers = np.array([int(name) for name in names])
    units = dict(tables.get("units", {}))
    given = np.asarray(units.setdefault("unit_id", numbers))
    if given.shape != numbers.shape or (given != numbers).any():
        raise RecordingError(
            f"{path} has other columns than units has unit_id, or in another order; expected the same; "
            "write them in the order of units"
        )
    tables["units"] = units


def _clocks(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    members = npz(path)
    refuse_unknown(members, _CLOCKS, str(path))
    return {name: typed(clock, NUMBER, f"{path}: {name}").to_numpy() for name, clock in members.items()}

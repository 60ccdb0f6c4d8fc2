"""Reader of the Sensorium 2022 layout: a folder with one small ``.npy`` a trial, and its tiers.

Layout (Willeke et al. 2022, arXiv 2206.08666)::

    data/images/N.npy        (1, H, W) grey levels 0..255, uint8 or float
    data/responses/N.npy     (n,) one value a neuron
    data/behavior/N.npy      (3,) pupil dilation, its derivative, running speed     (may be absent)
    data/pupil_center/N.npy  (2,) x, y                                              (may be absent)
    meta/trials/*.npy        tiers; frame_image_id, frame_image_class, trial_idx, frame_presentation_time
    meta/neurons/*.npy       unit_ids; cell_motor_coordinates, area, layer, animal_ids, sessions, scan_idx

Row N of every array in ``meta/trials`` speaks of the files ``N.npy``. See docs/formats.md for the rules.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import (
    FIELD_COLUMNS,
    Recording,
    ScanKey,
    TrialEye,
    TrialResponses,
    TrialTreadmill,
)
from inception_loop.recordings.sensorium.images import Shown, read_images
from inception_loop.recordings.sensorium.meta import Meta
from inception_loop.recordings.sensorium.npy_rows import NpyRows

NAME = "sensorium"

_PARTS = ("data/images", "data/responses")
_FIELD = 1


def recognises(path: Path) -> bool:
    """Say whether a folder (or a zip of one, which `read` refuses with advice) has the layout."""
    try:
        if path.is_dir():
            return (path / "meta/trials").is_dir() and (path / "data").is_dir()
        return _is_zipped(path)
    except (OSError, ValueError):
        return False


def _is_zipped(path: Path) -> bool:
    try:
        if not (path.is_file() and zipfile.is_zipfile(path)):
            return False
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("meta/trials/tiers.npy") for name in archive.namelist())
    except Exception:  # zipfile promises no class of error for a spoilt archive
        return False


def read(path: Path, scan: ScanKey, options: ReadOptions) -> Recording:
    """Read a folder of the Sensorium 2022 layout.

    Parameters
    ----------
    path
        The folder that holds ``data`` and ``meta``.
    scan
        Its identity; refused where ``meta/neurons`` names another.
    options
        ``trace_kind`` overrides the layout's own definition (deconvolved); ``shown_s``, ``image_class``,
        ``brain_area`` and ``layer`` stand in for what the folder does not say.

    Returns
    -------
    Recording
        Responses (trials, units) float32; images float32 or uint8 as in the files, each picture once;
        trials by ``trial_idx`` where it is a number, else (hidden by the source) by the number of the file.

    Raises
    ------
    RecordingError
        One line naming file, trial or unit.
    """
    _check_layout(path)
    meta = Meta(path, scan)
    numbers = meta.order.tolist()
    responses, withheld = _responses(path, meta, numbers)
    images = NpyRows(path, "data/images")
    images.require(numbers)
    _no_strays(images, meta)
    shown = read_images(images, meta, numbers, options)
    eye, treadmill = _behavior(path, meta, numbers)
    return Recording(
        scan=scan,
        trace_kind=options.trace_kind or "deconvolved",
        activity=TrialResponses(responses),
        trials=_trials(meta, shown),
        conditions=shown.conditions,
        images=shown.images,
        units=_units(meta, options),
        fields=pl.DataFrame({c: [_FIELD if c == "field" else float("nan")] for c in FIELD_COLUMNS}),
        eye=eye,
        treadmill=treadmill,
        excluded_trials=_excluded(meta, withheld, shown),
    )


def _check_layout(path: Path) -> None:
    if path.is_file():
        raise RecordingError(f"{str(path)!r} is a file; expected the folder that it holds; unzip it first")
    if (path / "data/videos").is_dir():
        raise RecordingError(
            f"{str(path)!r} holds videos (Sensorium 2023); expected images shown one a trial (Sensorium 2022)"
        )
    for part in (*_PARTS, "meta/trials", "meta/neurons"):
        if not (path / part).is_dir():
            raise RecordingError(
                f"{str(path)!r} has no folder {part}; expected data/images, data/responses, meta/trials and "
                "meta/neurons; name the folder that holds data and meta"
            )


def _no_strays(files: NpyRows, meta: Meta) -> None:
    strays = files.numbers - set(range(meta.n_trials))
    if strays:
        raise RecordingError(
            f"{files.name}/{min(strays)}.npy has no row in meta/trials/tiers.npy, which lists "
            f"{meta.n_trials} trials; expected files 0.npy to {meta.n_trials - 1}.npy; "
            "fetch or unzip the recording again"
        )


def _responses(
    path: Path, meta: Meta, numbers: list[int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return responses (trials, units), and which trials' the source withholds (their rows are NaN)."""
    files = NpyRows(path, "data/responses")
    _no_strays(files, meta)
    test = np.array([meta.tier_of[number] == "test" for number in numbers])
    tiers = np.array([meta.tiers[number] for number in numbers])
    there = np.array([number in files.numbers for number in numbers])
    absent = [tier for tier in np.unique(tiers[test]) if not there[tiers == tier].any()]
    files.require([number for number, tier in zip(numbers, tiers, strict=True) if tier not in absent])
    values = files.table(numbers, len(meta.unit_ids), np.float32)
    withheld = np.zeros(len(numbers), dtype=bool)
    for tier in np.unique(tiers[test]):
        of_tier = tiers == tier
        if not np.nan_to_num(values[of_tier]).any():
            withheld |= of_tier
    values[withheld] = np.nan
    if withheld.all():
        raise RecordingError(
            f"no trial of {str(path)!r} has responses; expected some of the tier train; fetch it again"
        )
    return values, withheld


def _behavior(path: Path, meta: Meta, numbers: list[int]) -> tuple[TrialEye | None, TrialTreadmill | None]:
    """Return pupil and running; what is zero in all trials was withheld, and is taken as not recorded."""
    behavior = _vectors(path, meta, numbers, "data/behavior", 3)
    center = _vectors(path, meta, numbers, "data/pupil_center", 2)
    pupil = behavior[:, :2] if behavior is not None and behavior[:, :2].any() else None
    eye = treadmill = None
    if pupil is not None or center is not None:
        unknown = np.full((len(numbers), 2), np.nan)
        both = np.hstack([part if part is not None else unknown for part in (pupil, center)])
        eye = TrialEye(*np.ascontiguousarray(both.T))
    if behavior is not None:
        treadmill = TrialTreadmill(np.abs(behavior[:, 2]))
    return eye, treadmill


def _vectors(
    path: Path, meta: Meta, numbers: list[int], name: str, width: int
) -> npt.NDArray[np.float64] | None:
    if not (path / name).exists():
        return None
    files = NpyRows(path, name)
    files.require(numbers)
    _no_strays(files, meta)
    values = files.table(numbers, width, np.float64)
    return values if values.any() else None


def _trials(meta: Meta, shown: Shown) -> pl.DataFrame:
    no_flip = np.full(meta.n_trials, np.nan)
    return pl.DataFrame(
        {
            "trial_idx": meta.trial_idx[meta.order],
            "condition_hash": shown.condition_hash,
            "clear_flip": no_flip,
            "onset_flip": no_flip,
            "offset_flip": no_flip,
        }
    )


def _units(meta: Meta, options: ReadOptions) -> pl.DataFrame:
    n = len(meta.unit_ids)
    place = meta.coordinates
    unknown = np.full(n, np.nan)
    columns = {
        "unit_id": meta.unit_ids,
        "field": np.full(n, _FIELD),
        "px_x": unknown,
        "px_y": unknown,
        "um_x": place[:, 0],
        "um_y": place[:, 1],
        "um_z": place[:, 2],
        "ms_delay": unknown,
        "mask_type": ["soma"] * n,
        "brain_area": meta.areas or [options.brain_area] * n,
        "layer": meta.layers or [options.layer] * n,
    }
    return pl.DataFrame(columns, schema_overrides={"brain_area": pl.String, "layer": pl.String})


def _excluded(meta: Meta, withheld: npt.NDArray[np.bool_], shown: Shown) -> pl.DataFrame:
    reasons = dict(shown.leaks)
    for row in np.flatnonzero(withheld).tolist():
        reasons[row] = f"responses withheld by the source (tier {meta.tiers[int(meta.order[row])]})"
    rows = sorted(reasons)
    return pl.DataFrame(
        {"trial_idx": meta.trial_idx[meta.order[rows]], "reason": [reasons[row] for row in rows]},
        schema={"trial_idx": pl.Int64, "reason": pl.String},
    )

"""Recordings that anyone writes by hand: one NPZ of images and responses, or a folder of tables and arrays.

One ``.npz``: module `npz`; a folder: module `folder`; both with examples in ``docs/formats/plain.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inception_loop.errors import RecordingError
from inception_loop.recordings.bounded import members
from inception_loop.recordings.handed import completed
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.plain.folder import SIGNS, from_folder
from inception_loop.recordings.plain.npz import from_npz
from inception_loop.recordings.recording import Recording, ScanKey, TrialResponses

NAME = "plain"

_ZIP = b"PK\x03\x04"


def recognises(path: Path) -> bool:
    """Whether this is an NPZ with images or responses, or a folder with tables or arrays of the layout."""
    try:
        if path.is_dir():
            return any((path / name).is_file() for name in SIGNS)
        with path.open("rb") as file:
            if file.read(len(_ZIP)) != _ZIP:
                return False
    except OSError:
        return False
    return not members(path).isdisjoint(("images", "responses"))


def read(path: Path, scan: ScanKey, options: ReadOptions) -> Recording:
    """Read a recording; traces of a folder stay on disk.

    Parameters
    ----------
    path
        An ``.npz`` or a folder.
    scan
        What to call it.
    options
        What the files do not say; ``trace_kind`` at least.

    Raises
    ------
    RecordingError
        If a file is damaged, pickled, outside the folder, or unknown, or the parts contradict each other:
        one line that names file, column and unit, trial or image.
    """
    handed = from_folder(path) if path.is_dir() else from_npz(path)
    recording = completed(handed, scan, options)
    _check_order(recording)
    return recording


def _check_order(recording: Recording) -> None:
    """Refuse trials out of order where no flips tell the order."""
    if not isinstance(recording.activity, TrialResponses):
        return
    if recording.trials["onset_flip"].is_not_nan().any():
        return
    numbers = recording.trials["trial_idx"].to_numpy()
    back = np.diff(numbers) <= 0
    if back.any():
        at = int(back.argmax()) + 1
        raise RecordingError(
            f"scan {recording.scan}: trial {numbers[at]} stands below trial {numbers[at - 1]}; "
            "expected rows in order of presentation, trial_idx rising; sort the rows"
        )

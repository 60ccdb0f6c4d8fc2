"""Reader of NWB files: two-photon imaging with images shown, the eye tracked, and running.

Neurodata Without Borders (NWB 2, https://nwb.org) says where things lie, not which of several series is the
one to use. Read here are, column by column with h5py:

=====================  ================================================================================
activity               RoiResponseSeries below ``/processing``: deconvolved before spikes before ΔF/F
units, fields          the PlaneSegmentation that its rois name, and that one's ImagingPlane
trials                 a table in ``/intervals`` with a column of images, else an IndexSeries
images                 ImageSeries or Images in ``/stimulus/templates``
eye                    a pupil ellipse, else PupilTracking and EyeTracking
treadmill              a series called running_speed, speed, velocity …
=====================  ================================================================================

``docs/formats/nwb.md`` has every rule. NWB has one clock: stimulus and behaviour share it.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from inception_loop.errors import RecordingError
from inception_loop.recordings.nwb.behavior import read_eye, read_treadmill
from inception_loop.recordings.nwb.cells import read_cells
from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.traces import find_series, read_traces
from inception_loop.recordings.nwb.trials import read_stimuli
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import Recording, ScanKey

NAME = "nwb"

ROLES = (
    "traces",
    "trials",
    "image",
    "images",
    "unit_id",
    "length_unit",
    "pupil",
    "pupil_quantity",
    "gaze",
    "treadmill",
    "treadmill_unit",
)
"""What ``options.names`` may say of an NWB file."""

_DAMAGED = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    NotImplementedError,
)


def recognises(path: Path) -> bool:
    """Return whether the path is an NWB file, by its content."""
    try:
        if not path.is_file() or not h5py.is_hdf5(path):
            return False
        with h5py.File(path, "r") as file:
            # names only: values of text may lie in damaged heaps, which the library never leaves
            return "nwb_version" in file.attrs or "nwb_version" in file
    except _DAMAGED:
        return False


def read(path: Path, scan: ScanKey, options: ReadOptions) -> Recording:
    """Read an NWB file.

    Parameters
    ----------
    path
        The file. It stays open as long as the recording lives: activity is read from it when asked for.
    scan
        Identity of the scan; nothing of the file's own (subject, session) is used.
    options
        What the file does not say; ``names`` takes the roles of `ROLES`.

    Returns
    -------
    Recording
        With the whole activity on the file's clock.

    Raises
    ------
    RecordingError
        For everything that is wrong with the file.
    """
    nwb = NwbFile(path)
    try:
        return _read(nwb, scan, options)
    except RecordingError:
        nwb.close()
        raise
    except _DAMAGED as error:
        nwb.close()
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise nwb.refused(f"cannot be read ({reason}); expected a whole NWB file; fetch it again") from error


def _read(nwb: NwbFile, scan: ScanKey, options: ReadOptions) -> Recording:
    nwb.check_version()
    kind, series = find_series(nwb, options)
    trials, conditions, images, excluded = read_stimuli(nwb, options)
    traces, delays = read_traces(nwb, series)
    units, fields = read_cells(nwb, series, delays, options)
    return Recording(
        scan=scan,
        trace_kind=kind,
        activity=traces,
        trials=trials,
        conditions=conditions,
        images=images,
        units=units,
        fields=fields,
        eye=read_eye(nwb, options),
        treadmill=read_treadmill(nwb, options),
        excluded_trials=excluded,
    )

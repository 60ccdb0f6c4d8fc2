"""The formats that recordings are read from. A new one is a new module and a line here."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, get_args

from inception_loop.errors import RecordingError
from inception_loop.recordings import hdf5, nwb, plain, sensorium
from inception_loop.recordings.files import in_one_line
from inception_loop.recordings.options import Format, ReadOptions
from inception_loop.recordings.recording import Recording, ScanKey


class Reader(Protocol):
    """What the module of a format has."""

    NAME: str

    def recognises(self, path: Path) -> bool:
        """Whether what lies there has the content of this format, whatever it is called."""

    def read(self, path: Path, scan: ScanKey, options: ReadOptions) -> Recording:
        """Read and validate it."""


READERS: dict[str, Reader] = {reader.NAME: reader for reader in (nwb, hdf5, sensorium, plain)}
"""In the order in which they are asked: the more particular first."""


def detect(path: Path) -> Format:
    """Find the format of a file or folder by its content.

    Raises
    ------
    RecordingError
        If there is nothing, or no format fits.
    """
    _check_there(path)
    for name in get_args(Format):
        if READERS[name].recognises(path):
            found: Format = name
            return found
    raise RecordingError(
        f"{in_one_line(path)} has the content of no known format; expected one of {', '.join(READERS)}; "
        "see docs/formats.md, or name the format to learn what is wrong with it"
    )


def _check_there(path: Path) -> None:
    if not path.is_file() and not path.is_dir():  # whoever opens a pipe may wait for ever
        raise RecordingError(f"there is no file or folder {in_one_line(path)}; expected a recording")


def read_recording(
    path: Path, scan: ScanKey, options: ReadOptions, format: Format | None = None
) -> Recording:
    """Read a recording of any known format.

    Parameters
    ----------
    path
        File or folder.
    scan
        The scan that it is of.
    options
        What the file does not say.
    format
        By default found by content.

    Raises
    ------
    RecordingError
        One line: what is wrong with it, naming field, unit, trial or file, and what to do.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "tiny.npz"
    >>> images = np.zeros((4, 36, 64), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None]
    >>> np.savez(path, images=images, responses=np.ones((4, 3), np.float32))
    >>> scan = ScanKey(animal_id=1, session=1, scan_idx=1)
    >>> read_recording(path, scan, ReadOptions(trace_kind="spikes")).activity.values.shape
    (4, 3)
    """
    _check_there(path)
    return READERS[format or detect(path)].read(path, scan, options)

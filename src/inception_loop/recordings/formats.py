"""The formats that recordings are read from. A new one is a new module and a line here."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, get_args

from inception_loop.errors import RecordingError
from inception_loop.recordings import hdf5, nwb, plain, sensorium
from inception_loop.recordings.files import check_there
from inception_loop.recordings.options import Format, ReadOptions
from inception_loop.recordings.recording import Recording, ScanKey


class Reader(Protocol):
    """What the module of a format has; ``ROLES`` besides, where it reads ``options.names``."""

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
    check_there(path)
    for name in get_args(Format):
        if READERS[name].recognises(path):
            found: Format = name
            return found
    raise RecordingError(
        f"{path} has the content of no known format; expected one of {', '.join(READERS)}; "
        "see docs/formats.md, or name the format to learn what is wrong with it"
    )


def check_names(format: Format, options: ReadOptions) -> None:
    """Refuse a role in ``options.names`` that the reader of a format does not know.

    It would change the identity of the recording and nothing else.

    Raises
    ------
    RecordingError
        With the first such role, and those that the reader knows.

    Examples
    --------
    >>> check_names("nwb", ReadOptions(names={"pupil": "none"}))
    """
    roles: tuple[str, ...] = getattr(READERS[format], "ROLES", ())
    unknown = sorted(set(options.names) - set(roles))
    if unknown:
        expected = f"only {', '.join(roles)}" if roles else "none"
        raise RecordingError(
            f"names have the role {unknown[0]!r}, which nothing reads of the format {format}; "
            f"expected {expected}; correct the role or leave it out"
        )


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
        One line: what is wrong with it, naming field, unit, trial or file, and what to do; or what is wrong
        with ``options.names``.

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
    check_there(path)
    found = format or detect(path)
    check_names(found, options)
    return READERS[found].read(path, scan, options)

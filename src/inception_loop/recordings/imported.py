"""A recording from disk becomes an artifact, known by the bytes that it was read from."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import RecordingError
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.files import content_digest
from inception_loop.recordings.formats import check_names, detect, read_recording
from inception_loop.recordings.options import Format, ReadOptions
from inception_loop.recordings.recording import ScanKey


class ImportConfig(Config):
    """Configuration of an imported recording. The place of the files is no part of it, their bytes are."""

    scan: ScanKey = Field(description="The scan.")
    format: Format = Field(description="Format of the files.")
    sha256: str = Field(
        pattern="[0-9a-f]{64}",
        description="SHA-256 of the file; of a folder: of all its files' names and SHA-256.",
    )
    options: ReadOptions = Field(ReadOptions(), description="What the files do not say.")


def import_config(
    path: Path, scan: ScanKey, options: ReadOptions, format: Format | None = None
) -> ImportConfig:
    """Look at what lies at a path and say what importing it means.

    Parameters
    ----------
    path
        File or folder.
    scan
        The scan that it is of.
    options
        What the files do not say.
    format
        By default found by content.

    Raises
    ------
    RecordingError
        If there is nothing, no format fits, a link leaves the folder, or the format has no such
        ``options.names``.
    """
    found = format or detect(path)
    check_names(found, options)
    return ImportConfig(scan=scan, format=found, sha256=content_digest(path), options=options)


def import_recording(
    store: ArtifactStore,
    path: Path | str,
    scan: ScanKey,
    options: ReadOptions | None = None,
    format: Format | None = None,
) -> Outcome:
    """Bring a recording from disk into a store: `import_config`, then `make_imported_recording`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from inception_loop.artifacts.store import open_store
    >>> path = Path(tempfile.mkdtemp()) / "tiny.npz"
    >>> np.savez(path, images=np.arange(12, dtype=np.uint8).reshape(3, 2, 2), responses=np.ones((3, 5)))
    >>> scan = ScanKey(animal_id=1, session=1, scan_idx=1)
    >>> made = import_recording(open_store("memory://doc"), path, scan, ReadOptions(trace_kind="spikes"))
    >>> made.ref.kind, made.cached
    ('recording', False)
    """
    config = import_config(Path(path), scan, options or ReadOptions(), format)
    return make_imported_recording(store, config, path=path)


def make_imported_recording(store: ArtifactStore, config: ImportConfig, *, path: str | Path) -> Outcome:
    """Make the recording of a scan from files.

    Findings name what the recording lacks (see `lacks`) and what it was called.

    Parameters
    ----------
    path
        Where the files lie; read only if the recording is not there yet.

    Raises
    ------
    RecordingError
        If the files are not those that the configuration names, or are wrong; nothing is written then.
    """
    place = Path(path)

    def build(attempt: Attempt) -> None:
        recording = read_recording(place, config.scan, config.options, config.format)
        save_recording(attempt, recording)
        # traces are read while they are written, so only now it is known what was read
        if content_digest(place) != config.sha256:
            raise RecordingError(
                f"{place} was changed while it was read; expected files at rest; import again"
            )
        attempt.report(source=place.name)

    return store.make(RECORDING, config, build)

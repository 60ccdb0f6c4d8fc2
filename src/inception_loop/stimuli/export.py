"""A stimulus set as a folder for a rig, whole or not at all; and whether such a folder is still whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from inception_loop.errors import ConfigurationError, DataError, RecordingError
from inception_loop.recordings.files import inside, passed_over
from inception_loop.stimuli import export_manifest, export_readme
from inception_loop.stimuli.export_files import record_of, space_of, write_file, write_files
from inception_loop.stimuli.export_folder import final_place, first_inside, fresh_folder
from inception_loop.stimuli.export_manifest import (
    ExportManifest,
    FileRecord,
    Format,
    encode,
    identity_of,
    manifest_of,
    read_manifest,
)
from inception_loop.stimuli.export_session import Session

ALL_FORMATS: tuple[Format, ...] = get_args(Format)


class Exported(NamedTuple):
    """What `export_session` did: whether it wrote, and what stands there now."""

    written: bool
    manifest: ExportManifest

    @property
    def files(self) -> int:
        """Files of the export, the manifest included."""
        return len(self.manifest.files) + 1

    @property
    def bytes(self) -> int:
        """Their bytes, without the manifest's."""
        return sum(record.bytes for record in self.manifest.files.values())


class Fault(NamedTuple):
    """A file of an export that is not what the manifest says."""

    file: str
    what: str


class Checked(NamedTuple):
    """An export as its manifest describes it, and what differs from it."""

    manifest: ExportManifest
    faults: list[Fault]


def formats_of(text: str) -> tuple[Format, ...]:
    """Return the formats that a person lists, such as ``png,npz``.

    Raises
    ------
    ConfigurationError
        If there is none, or one is not known.

    Examples
    --------
    >>> formats_of("hdf5, png")
    ('png', 'hdf5')
    """
    said = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in said if name not in ALL_FORMATS]
    if unknown or not said:
        raise ConfigurationError(
            f"--format has {unknown[0] if unknown else 'nothing'!r}; expected one or more of "
            f"{','.join(ALL_FORMATS)}"
        )
    return tuple(name for name in ALL_FORMATS if name in said)


def export_session(
    session: Session,
    output: Path,
    formats: Sequence[Format] = ALL_FORMATS,
    on_progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write a session into a fresh folder, which appears under its name when it is whole.

    Parameters
    ----------
    session
        See `session_of`.
    output
        Folder: absent or empty. If the same export stands there whole, nothing is done.
    formats
        Of the images; the tables are always there.
    on_progress
        Receives ``(done, total)`` images.

    Raises
    ------
    ConfigurationError
        If the folder holds something else, or nothing can be written there.
    StoreError
        If writing fails midway, or there is too little space: nothing of the export is left then.
    """
    wanted = tuple(one for one in ALL_FORMATS if one in formats)
    final = final_place(output)
    if first_inside(final):
        return Exported(False, _standing(final, output, identity_of(session, wanted)))
    with fresh_folder(final, space_of(session, wanted)) as folder:
        records = write_files(session, folder, wanted, on_progress)
        text = export_readme.readme(session, list(records)).encode()
        records[export_readme.NAME] = write_file(folder / export_readme.NAME, text)
        manifest = manifest_of(session, wanted, records)
        write_file(folder / export_manifest.NAME, encode(manifest))
    return Exported(True, manifest)


def _standing(final: Path, output: Path, identity: str) -> ExportManifest:
    try:
        checked = check_export(final)
    except DataError as error:
        raise ConfigurationError(
            f"--output {output} holds {first_inside(final)!r}; expected an empty folder or none; "
            "give another, or empty it"
        ) from error
    if checked.manifest.export != identity:
        raise ConfigurationError(
            f"--output {output} holds another export (of {checked.manifest.stimulus_set.kind}/"
            f"{checked.manifest.stimulus_set.digest[:12]}, {checked.manifest.session.get('trials')} trials); "
            "expected an empty folder or none; give another"
        )
    if checked.faults:
        raise ConfigurationError(
            f"--output {output} holds this export, but {len(checked.faults)} files differ from its manifest, "
            f"first {checked.faults[0].file}: {checked.faults[0].what}; remove the folder and export again"
        )
    return checked.manifest


def check_export(folder: Path) -> Checked:
    """Compare every file of an export with its manifest.

    Returns
    -------
    Checked
        With a fault for each file that is missing, has other bytes, or is not in the manifest.

    Raises
    ------
    DataError
        If the folder has no manifest, or a damaged one.
    """
    manifest = read_manifest(folder)
    faults = []
    for name, record in sorted(manifest.files.items()):
        what = _difference(folder, name, record)
        if what:
            faults.append(Fault(name, what))
    known = {*manifest.files, export_manifest.NAME}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        stray = name not in known and not any(map(passed_over, path.relative_to(folder).parts))
        if stray and (path.is_symlink() or not path.is_dir()):
            faults.append(Fault(name, "is no part of the export"))
    return Checked(manifest, faults)


def _difference(folder: Path, name: str, record: FileRecord) -> str:
    try:
        path = inside(folder, name)
        if not path.is_file():
            return "is missing"
        size = path.stat().st_size
        if size != record.bytes:
            return f"has {size} bytes; expected {record.bytes}"
        if record_of(path).sha256 != record.sha256:
            return f"has other bytes than were written; expected the SHA-256 {record.sha256[:12]}…"
    except RecordingError:
        return "leads out of the folder"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""

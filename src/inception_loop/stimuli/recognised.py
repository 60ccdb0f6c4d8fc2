"""A recording from disk whose images are known by the stimulus set that the rig was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.artifacts.listing import resolve
from inception_loop.artifacts.parquet import OutOfProportionError, check_proportion
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import ArtifactNotFoundError, ConfigurationError, DataError, RecordingError
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.bounded import npz, parquet
from inception_loop.recordings.files import content_digest, inside
from inception_loop.recordings.formats import read_recording
from inception_loop.recordings.hdf5.trust import numbers, one_line
from inception_loop.recordings.imported import ImportConfig
from inception_loop.stimuli.export import check_export
from inception_loop.stimuli.export_files import HDF5, NPZ, read_png
from inception_loop.stimuli.export_manifest import read_manifest
from inception_loop.stimuli.recognition import LABELS, ShownSet, Unmatched
from inception_loop.stimuli.renamed import recognised

STIMULUS_SET = "stimulus_set"
TRIALS = "trials.parquet"


class RecognisedImportConfig(ImportConfig):
    """Configuration of an imported recording whose images are recognised."""

    export: str | None = Field(
        None,
        pattern="[0-9a-f]{64}",
        description="What the rig was given, by the manifest of the export; none: the whole stimulus set.",
    )
    unmatched: Unmatched = Field(
        "refuse", description="Images that the set does not hold: refuse them, or exclude their trials."
    )


def stored_set(store: ArtifactStore, ref: ArtifactRef) -> ShownSet:
    """Return the conditions of a stimulus set of the store.

    Raises
    ------
    ConfigurationError
        If it is of another kind.
    """
    if ref.kind != STIMULUS_SET:
        raise ConfigurationError(f"{ref} is a {ref.kind}; expected the {STIMULUS_SET} that the rig showed")
    images, planned = store.arrays(ref, "images")["images"], _planned(store.table(ref, "trials"))
    return ShownSet(str(ref), store.table(ref, "conditions"), np.asarray(images), planned)


def _planned(trials: pl.DataFrame) -> tuple[str, ...]:
    return tuple(trials.sort("position")["condition_hash"])


def exported_set(folder: Path) -> ShownSet:
    """Return the conditions of an export that is whole.

    Raises
    ------
    DataError
        If it is none, or a file of it differs from its manifest.
    """
    checked = check_export(folder)
    if checked.faults:
        raise DataError(
            f"the export {folder} is not as it was written: {checked.faults[0].file} "
            f"{checked.faults[0].what}; expected it whole; export it again"
        )
    conditions = parquet(folder / "conditions.parquet")
    images = _images(folder, set(checked.manifest.files), conditions)
    _check_rows(conditions, images, folder)
    return ShownSet(f"the export {folder.name}", conditions, images, _planned(parquet(folder / TRIALS)))


def exported_plan(folder: Path) -> tuple[str, ...]:
    """Return the conditions of an export's trials, in order; of its files only that table has to be whole.

    Raises
    ------
    DataError
        If the folder is no export, or the table is not as it was written.
    """
    for fault in check_export(folder).faults:
        if fault.file == TRIALS:
            raise DataError(
                f"the export {folder} is not as it was written: {TRIALS} {fault.what}; expected the plan of "
                "the session; export it again, or name its --stimulus-set instead"
            )
    return _planned(parquet(folder / TRIALS))


def _images(folder: Path, files: set[str], conditions: pl.DataFrame) -> npt.NDArray[np.uint8]:
    if NPZ in files:
        return np.asarray(npz(folder / NPZ).get("images"))
    if HDF5 in files:
        with one_line(str(folder / HDF5)), h5py.File(folder / HDF5, "r") as file:
            return np.asarray(numbers(file, "images", HDF5))
    named = conditions.unique("image_row", keep="first").sort("image_row")["image_file"]
    return np.stack(list(_pngs([inside(folder, name) for name in named], folder)))


def _pngs(paths: Sequence[Path], folder: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield pictures one after the other, as long as they are in proportion to their files."""
    held = size = 0
    for path in paths:
        image = read_png(path)
        held, size = held + image.nbytes, size + path.stat().st_size
        try:
            check_proportion(held, size)
        except OutOfProportionError as error:
            raise DataError(f"the images of the export {folder} {error}; export it again") from error
        yield image


def _check_rows(conditions: pl.DataFrame, images: npt.NDArray[np.uint8], folder: Path) -> None:
    missing = [name for name in ("condition_hash", "image_row", *LABELS) if name not in conditions.columns]
    if missing or images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(
            f"the export {folder} has {images.dtype} images of shape {images.shape} and conditions without "
            f"{missing or 'nothing'}; expected what `inception-loop export` writes; export it again"
        )
    if conditions["image_row"].unique().sort().to_list() != list(range(len(images))):
        raise DataError(
            f"the export {folder} has {len(images)} images, but its conditions name other rows; expected "
            f"each of 0..{len(images) - 1}; export it again"
        )


def set_of_export(store: ArtifactStore, folder: Path) -> ArtifactRef | None:
    """Return the stimulus set that an export was made from; None if this store does not hold it.

    Raises
    ------
    DataError
        If the folder is no export.
    """
    record = read_manifest(folder).stimulus_set
    if record.kind != STIMULUS_SET:
        return None
    try:
        ref = resolve(store, f"{record.kind}/{record.digest}")
        here = {name: payload.sha256 for name, payload in store.manifest(ref).payloads.items()}
    except ArtifactNotFoundError:
        return None
    return ref if here == record.payloads else None


def shown_inputs(
    store: ArtifactStore, stimulus_set: ArtifactRef | None, export: Path | None
) -> dict[str, ArtifactRef | str]:
    """Return by what the images of a recording are recognised: inputs of `make_recognised_recording`.

    Images are looked for in the stimulus set that an export was made from, if the store holds that: the
    lineage then leads there. The plan is that of the export; one of the whole set has the plan of the set.

    Raises
    ------
    ConfigurationError
        If set and export are both given.
    DataError
        If the folder is no export.
    """
    if stimulus_set is not None and export is not None:
        raise ConfigurationError(
            f"the recording showed the set {stimulus_set} and the export {export}; expected one of them; "
            "leave the other out"
        )
    known = stimulus_set if export is None else set_of_export(store, export)
    given: dict[str, ArtifactRef | str] = {} if known is None else {STIMULUS_SET: known}
    if export is not None and (known is None or read_manifest(export).session.get("cut", True)):
        given["export"] = str(export.absolute())
    return given


def recognised_config(
    config: ImportConfig, inputs: Mapping[str, ArtifactRef | str], unmatched: Unmatched
) -> RecognisedImportConfig:
    """Return the configuration of a recording that is recognised by `shown_inputs`."""
    export = inputs.get("export")
    digest = read_manifest(Path(str(export))).export if export is not None else None
    return RecognisedImportConfig(**dict(config), export=digest, unmatched=unmatched)


def make_recognised_recording(
    store: ArtifactStore,
    config: RecognisedImportConfig,
    *,
    path: str | Path,
    stimulus_set: ArtifactRef | None = None,
    export: str | Path | None = None,
) -> Outcome:
    """Make the recording of a scan from files, its conditions named as in the stimulus set that it showed.

    Findings count what was recognised, how, what was not, and say what differs from the plan.

    Parameters
    ----------
    store, config
        Where and what.
    path
        Where the files lie.
    stimulus_set
        What the rig showed.
    export
        The folder that it was given, where that is not the whole set of this store; named in ``config``.

    Raises
    ------
    ConfigurationError
        If neither set nor export is given, or the export is not named.
    DataError
        If images are not recognised, see `recognised`, or the folder is not the export that is named.
    RecordingError
        If the files are not those that the configuration names, or are wrong.
    """
    if (stimulus_set is None and export is None) or (export is None) != (config.export is None):
        raise ConfigurationError(
            f"the images of scan {config.scan} are to be recognised by the set {stimulus_set} and the export "
            f"{export}, named {config.export}; expected one of them, an export with its name; say what the "
            "rig was given"
        )
    place = Path(path)

    def build(attempt: Attempt) -> None:
        if stimulus_set is None:
            shown = exported_set(_named(Path(str(export)), config))
        else:
            shown = stored_set(store, stimulus_set)
            if export is not None:
                shown = replace(shown, planned=exported_plan(_named(Path(export), config)))
        source = read_recording(place, config.scan, config.options, config.format)
        recording, found = recognised(source, shown, config.unmatched)
        save_recording(attempt, recording)
        if content_digest(place) != config.sha256:
            raise RecordingError(
                f"{place} was changed while it was read; expected files at rest; import again"
            )
        attempt.report(source=place.name, **found.findings())

    inputs = {} if stimulus_set is None else {STIMULUS_SET: stimulus_set}
    return store.make(RECORDING, config, build, inputs)


def _named(folder: Path, config: RecognisedImportConfig) -> Path:
    found = read_manifest(folder).export
    if found != config.export:
        raise DataError(
            f"{folder} holds the export {found[:12]}…; expected {str(config.export)[:12]}…; name the folder "
            "that the rig was given"
        )
    return folder

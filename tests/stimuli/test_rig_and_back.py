"""A rig that knows nothing but the exported folder shows it; every trial comes back as one of the set."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from PIL import Image

from inception_loop.animals.rig import RigConfig
from inception_loop.animals.session import Session, conditions_table
from inception_loop.animals.simulated import SimulatedAnimal
from inception_loop.animals.simulated_config import SimulatedConfig
from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.images import check_shown, shown_images
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.hdf5 import write_hdf5
from inception_loop.recordings.imported import import_config, import_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import Recording, ScanKey, unit_blocks
from inception_loop.stimuli.export import export_session
from inception_loop.stimuli.export_session import session_of
from inception_loop.stimuli.export_source import export_source
from inception_loop.stimuli.recognised import make_recognised_recording, recognised_config, shown_inputs

SCAN = ScanKey(animal_id=1, session=2, scan_idx=1)
HZ = 75.0
FRAME_MORE_S = 0.5 / HZ


class Day(NamedTuple):
    """What a test knows of it: the store, the set, the folder and what the rig recorded."""

    store: object
    stimulus_set: object
    folder: Path
    planned: list[str]
    recording: Recording


def show(folder: Path) -> tuple[Session, list[str]]:
    """Be the rig: read PNG and CSV, and nothing else; return what an animal sees, and the planned hashes."""
    with (folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    files = sorted({row["image_file"] for row in rows}, reverse=True)  # the rig numbers them as it likes
    images = np.stack([np.asarray(Image.open(folder / name)) for name in files])
    shown_s = round(float(rows[0]["shown_s"]) * HZ) / HZ  # 38 frames: 0.5067 s
    conditions = conditions_table(images, files, shown_s)
    order = np.array([files.index(row["image_file"]) for row in rows])
    return Session(images, conditions, order, shown_s), [row["condition_hash"] for row in rows]


@pytest.fixture(scope="module")
def day(sets, tmp_path_factory):
    """A cut session, shown to a simulated animal of 4 cells."""
    root = tmp_path_factory.mktemp("day")
    store = open_store(str(root / "store"))
    stimulus_set = sets.make_set(store)
    export_session(session_of(export_source(store, stimulus_set), 0.5), root / "rig")
    session, planned = show(root / "rig")
    rig = RigConfig(excluded_trials=0)
    recording, _ = SimulatedAnimal(SimulatedConfig(n_units=4, rig=rig)).record(session, day=1)
    return Day(store, stimulus_set, root / "rig", planned, recording)


def write_folder(day: Day, path: Path, images=None) -> None:
    """Hand the recording over as a lab does that knows rows of its images and no hashes."""
    recording = day.recording
    row = dict(recording.conditions.select("condition_hash", "image_row").rows())
    path.mkdir()
    np.save(path / "images.npy", recording.images if images is None else images)
    np.save(path / "traces.npy", np.concatenate(list(unit_blocks(recording.activity.values))))
    clocks = {"frame_times": recording.activity.frame_times}
    np.savez(path / "clocks.npz", behavior_frame_times=recording.activity.behavior_frame_times, **clocks)
    rows = pl.Series("image_row", [row[name] for name in recording.trials["condition_hash"]])
    trials = recording.trials.drop("condition_hash").with_columns(rows, pl.col("offset_flip") + FRAME_MORE_S)
    trials.write_parquet(path / "trials.parquet")
    recording.units.write_parquet(path / "units.parquet")
    recording.fields.write_parquet(path / "fields.parquet")


def write_npz(day: Day, path: Path) -> None:
    """Hand over one response a trial, images reduced to half their size, in a file that knows no times."""
    images = day.recording.images
    half = images.reshape(len(images), 18, 2, 32, 2).mean((2, 4)).astype(np.float32)
    row = dict(day.recording.conditions.select("condition_hash", "image_row").rows())
    image_row = np.array([row[name] for name in day.recording.trials["condition_hash"]])
    responses = np.random.default_rng(1).random((len(image_row), 3), dtype=np.float32)
    np.savez(path, images=half, image_row=image_row, responses=responses)


WAYS = {
    "folder": write_folder,
    "folder, floats": lambda day, path: write_folder(day, path, day.recording.images.astype(np.float32)),
    "hdf5": lambda day, path: write_hdf5(day.recording, path),
    "npz": lambda day, path: write_npz(day, path.with_suffix(".npz")),
}


def bring_back(day: Day, path: Path, store=None, unmatched="refuse", **shown):
    """Import what lies at a path, recognised by the set or the export."""
    store, place = store or day.store, path if path.exists() else path.with_suffix(".npz")
    options = ReadOptions(trace_kind="deconvolved")
    inputs = shown_inputs(store, shown.get("stimulus_set"), shown.get("export"))
    config = recognised_config(import_config(place, SCAN, options), inputs, unmatched)
    return make_recognised_recording(store, config, path=place, **inputs)


@pytest.mark.parametrize("way", WAYS)
def test_every_trial_comes_back_as_the_condition_that_was_planned(day, tmp_path, way):
    WAYS[way](day, tmp_path / "recorded")
    made = bring_back(day, tmp_path / "recorded", stimulus_set=day.stimulus_set)
    recording, conditions = (
        load_recording(day.store, made.ref),
        day.store.table(day.stimulus_set, "conditions"),
    )
    assert recording.trials["condition_hash"].to_list() == day.planned
    check_shown(recording.trials, conditions, "day 2")
    own = shown_images(conditions)["condition_hash"].is_in(recording.trials["condition_hash"].to_list())
    assert own.sum() == 2 * 3  # MEI and RF image of the three units that the session was long enough for
    assert set(recording.conditions["image_class"]) == {"multi_cnn_mei", "multi_lin_rf", "natural", "blank"}
    findings = day.store.manifest(made.ref).findings
    assert findings["n_unmatched"] == 0
    assert findings["n_recognised_trials"] == len(day.planned)
    assert [ref.digest for ref in day.store.inputs(made.ref)["stimulus_set"]] == [day.stimulus_set.digest]


def test_without_being_told_the_set_a_rounded_time_makes_other_conditions(day, tmp_path):
    write_folder(day, tmp_path / "recorded")
    ref = import_recording(day.store, tmp_path / "recorded", SCAN, ReadOptions(trace_kind="deconvolved")).ref
    recording = load_recording(day.store, ref)
    with pytest.raises(DataError, match="show conditions that the stimulus set does not list"):
        check_shown(recording.trials, day.store.table(day.stimulus_set, "conditions"), "day 2")


def test_the_folder_leads_to_the_set_where_the_store_has_it_and_is_enough_where_not(day, tmp_path):
    write_folder(day, tmp_path / "recorded")
    by_set = bring_back(day, tmp_path / "recorded", stimulus_set=day.stimulus_set)
    by_export = bring_back(day, tmp_path / "recorded", export=day.folder)
    assert day.store.inputs(by_export.ref) == day.store.inputs(by_set.ref)
    for made, not_shown in ((by_export, 0), (by_set, 10)):  # only the folder knows that the session was cut
        assert load_recording(day.store, made.ref).trials["condition_hash"].to_list() == day.planned
        assert day.store.manifest(made.ref).findings["n_not_shown"] == not_shown
    assert day.store.manifest(by_export.ref).findings["differences"] == []
    export_session(session_of(export_source(day.store, day.stimulus_set)), tmp_path / "whole", ("npz",))
    assert bring_back(day, tmp_path / "recorded", export=tmp_path / "whole").ref == by_set.ref
    elsewhere = open_store("memory://another-lab")
    made = bring_back(day, tmp_path / "recorded", elsewhere, export=day.folder)
    assert elsewhere.inputs(made.ref) == {}
    assert load_recording(elsewhere, made.ref).trials["condition_hash"].to_list() == day.planned
    assert str(day.folder) not in json.dumps(elsewhere.manifest(made.ref).model_dump(mode="json"))
    assert bring_back(day, tmp_path / "recorded", elsewhere, export=day.folder).cached


@pytest.mark.parametrize("formats", [("png",), ("npz",), ("hdf5",)])
def test_an_export_in_one_format_alone_is_enough_to_recognise_by(day, tmp_path, formats):
    export_session(session_of(export_source(day.store, day.stimulus_set), 0.5), tmp_path / "rig", formats)
    write_folder(day, tmp_path / "recorded")
    elsewhere = open_store(f"memory://another-lab-{formats[0]}")
    made = bring_back(day, tmp_path / "recorded", elsewhere, export=tmp_path / "rig")
    assert load_recording(elsewhere, made.ref).trials["condition_hash"].to_list() == day.planned


def test_a_spoilt_export_recognises_nothing(day, tmp_path):
    export_session(session_of(export_source(day.store, day.stimulus_set), 0.5), tmp_path / "rig", ("npz",))
    (tmp_path / "rig" / "conditions.csv").unlink()
    write_folder(day, tmp_path / "recorded")
    with pytest.raises(DataError, match=r"is not as it was written: conditions.csv is missing"):
        bring_back(day, tmp_path / "recorded", open_store("memory://third-lab"), export=tmp_path / "rig")


def test_what_a_rig_did_otherwise_is_said_and_imported(day, tmp_path):
    write_folder(day, tmp_path / "recorded")
    trials = pl.read_parquet(tmp_path / "recorded" / "trials.parquet")
    n = trials.height
    swapped = trials["image_row"].gather([1, 0, *range(2, n)])
    trials.with_columns(image_row=swapped).write_parquet(tmp_path / "recorded" / "trials.parquet")
    found = day.store.manifest(bring_back(day, tmp_path / "recorded", export=day.folder).ref).findings
    assert (found["n_fewer"], found["n_not_shown"], found["n_extra"], found["order"]) == (0, 0, 0, "other")
    assert found["differences"] == [f"another order than planned from trial 1 on ({n} trials, {n} planned)"]


def test_with_the_set_in_the_store_a_spoilt_export_has_to_have_its_plan(day, tmp_path):
    export_session(session_of(export_source(day.store, day.stimulus_set), 0.5), tmp_path / "rig", ("npz",))
    write_folder(day, tmp_path / "recorded")
    (tmp_path / "rig" / "README.txt").write_text("a note of the rig's")
    made = bring_back(day, tmp_path / "recorded", export=tmp_path / "rig")
    assert day.store.manifest(made.ref).findings["differences"] == []
    (tmp_path / "rig" / "trials.parquet").write_bytes(b"")
    other = tmp_path / "other"
    write_folder(day, other, day.recording.images.astype(np.float32))
    with pytest.raises(DataError, match=r"trials.parquet has 0 bytes; .* or name its --stimulus-set instead"):
        bring_back(day, other, open_store(day.store.uri), "exclude", export=tmp_path / "rig")


def test_set_and_export_at_once_are_refused(day):
    with pytest.raises(ConfigurationError, match="expected one of them"):
        shown_inputs(day.store, day.stimulus_set, day.folder)

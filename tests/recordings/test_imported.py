"""An imported recording is known by its bytes; a wrong one leaves nothing behind."""

import os
import uuid

import numpy as np
import pytest

from inception_loop.artifacts.store import open_store
from inception_loop.errors import RecordingError
from inception_loop.recordings.archive import RECORDING, load_recording
from inception_loop.recordings.formats import READERS, check_names, detect, read_recording
from inception_loop.recordings.imported import import_config, make_imported_recording
from inception_loop.recordings.options import Format, ReadOptions
from inception_loop.recordings.recording import ScanKey

SCAN = ScanKey(animal_id=4, session=1, scan_idx=1)
OPTIONS = ReadOptions(trace_kind="spikes", brain_area="V4", layer="unset")


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}")


def write_npz(path, n_trials=20, n_units=3, **changes):
    """Write the plainest recording that there is."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (n_trials, 36, 64), dtype=np.uint8)
    responses = rng.random((n_trials, n_units), dtype=np.float32)
    np.savez(path, **{"images": images, "responses": responses, **changes})
    return path


def test_every_format_has_a_reader_of_its_name():
    assert tuple(READERS) == Format.__args__
    assert all(name == reader.NAME for name, reader in READERS.items())


def test_the_name_and_the_place_of_a_file_do_not_matter_but_its_bytes_do(store, tmp_path):
    first = import_config(write_npz(tmp_path / "day1.npz"), SCAN, OPTIONS)
    made = make_imported_recording(store, first, path=tmp_path / "day1.npz")
    moved = (tmp_path / "day1.npz").rename(tmp_path / "renamed.nwb")
    again = import_config(moved, SCAN, OPTIONS)
    assert again.format == "plain"
    assert make_imported_recording(store, again, path=moved) == (made.ref, True)
    other = import_config(write_npz(tmp_path / "other.npz", n_units=4), SCAN, OPTIONS)
    assert store.ref(RECORDING, other) != made.ref


def test_what_it_lacks_is_named(store, tmp_path):
    path = write_npz(tmp_path / "a.npz")
    made = make_imported_recording(store, import_config(path, SCAN, OPTIONS), path=path)
    findings = store.manifest(made.ref).findings
    assert findings["source"] == "a.npz"
    assert findings["lacks"] == [
        *("traces", "flips", "eye", "treadmill", "positions", "repeats", "stack_coordinates", "calibration")
    ]
    loaded = load_recording(store, made.ref)
    assert set(loaded.units["brain_area"]) == {"V4"}
    with np.load(path) as source:
        np.testing.assert_array_equal(loaded.activity.values, source["responses"])
        np.testing.assert_array_equal(loaded.images, source["images"])


def test_a_wrong_file_leaves_no_payload_and_no_manifest(store, tmp_path):
    values = np.ones((20, 3), np.float32)
    values[:, 1] = np.nan
    path = write_npz(tmp_path / "a.npz", responses=values)
    with pytest.raises(RecordingError, match="all NaN"):
        make_imported_recording(store, import_config(path, SCAN, OPTIONS), path=path)
    assert not [entry.key for entry in store.backend.walk() if not entry.key.startswith("_leases")]


def test_a_file_that_changes_while_it_is_read_is_refused(store, tmp_path):
    path = write_npz(tmp_path / "a.npz")
    config = import_config(path, SCAN, OPTIONS)
    write_npz(path, n_trials=21)
    with pytest.raises(RecordingError, match="was changed while it was read"):
        make_imported_recording(store, config, path=path)


def test_what_is_no_recording_is_of_no_format(tmp_path):
    (tmp_path / "a.nwb").write_bytes(b"no such thing")
    with pytest.raises(RecordingError, match="content of no known format; expected one of nwb, hdf5"):
        detect(tmp_path / "a.nwb")
    with pytest.raises(RecordingError, match="no file or folder"):
        detect(tmp_path / "absent")


def test_a_role_that_no_reader_knows_is_refused_and_changes_no_identity(tmp_path):
    path = write_npz(tmp_path / "a.npz")
    pupil = OPTIONS.model_copy(update={"names": {"pupil": "eye_size"}})
    for take in (import_config, read_recording):
        with pytest.raises(RecordingError, match=r"'pupil', .* of the format plain; expected none; correct"):
            take(path, SCAN, pupil)


@pytest.mark.parametrize("format", READERS)
def test_only_nwb_has_roles_and_it_knows_them_by_name(format):
    check_names(format, ReadOptions())
    expected = "expected only traces, trials, image" if format == "nwb" else "expected none"
    with pytest.raises(
        RecordingError, match=f"'tracez', which nothing reads of the format {format}; {expected}"
    ):
        check_names(format, ReadOptions(names={"tracez": "x"}))


def test_a_pipe_has_no_format(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordingError, match="is neither a file nor a folder"):
        detect(tmp_path / "pipe")

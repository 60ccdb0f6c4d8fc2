"""What goes into the store comes out again."""

import uuid
from dataclasses import fields, replace

import numpy as np
import polars as pl
import polars.testing
import pytest

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.reading import StoredRows
from inception_loop.artifacts.store import open_store
from inception_loop.recordings.archive import RECORDING, load_recording, save_recording
from inception_loop.recordings.recording import Recording, ScanKey


class SavedConfig(Config):
    """Configuration of a recording saved in a test."""

    scan: ScanKey
    variant: int = 0


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    return open_store(f"memory://{uuid.uuid4().hex}" if request.param == "memory" else tmp_path.as_uri())


def round_trip(store, recording: Recording) -> Recording:
    """Save and load."""
    made = store.make(RECORDING, SavedConfig(scan=recording.scan), lambda a: save_recording(a, recording))
    assert "animal_id=7/session=2/scan_idx=3" in made.ref.uri
    return load_recording(store, made.ref)


def assert_same(a: object, b: object) -> None:
    """Compare parts of recordings, NaN equal to NaN."""
    if isinstance(b, StoredRows):
        b = b[:]
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, pl.DataFrame):
        polars.testing.assert_frame_equal(a, b)
    elif hasattr(a, "__dataclass_fields__"):
        for part in fields(a):
            assert_same(getattr(a, part.name), getattr(b, part.name))
    else:
        assert a == b


def test_everything_comes_back(store, recording):
    assert_same(recording, round_trip(store, recording))


def test_lost_frames_untracked_eyes_and_missing_flips_stay_nan(store, recording):
    traces = recording.activity.values.copy()
    traces[:, 5] = np.nan
    eye = replace(recording.eye, center_x=np.where(np.arange(80) < 9, np.nan, 1.0))
    trials = recording.trials.with_columns(clear_flip=pl.lit(float("nan")))
    changed = replace(recording, activity=replace(recording.activity, values=traces), eye=eye, trials=trials)
    assert_same(changed, round_trip(store, changed))


def test_what_was_not_recorded_is_still_missing(store, parts):
    for name in ("eye", "treadmill", "calibration", "stack_coordinates", "excluded_trials"):
        del parts[name]
    lean = Recording(**parts)
    loaded = round_trip(store, lean)
    assert (loaded.eye, loaded.treadmill, loaded.calibration) == (None, None, None)
    assert_same(lean, loaded)


def test_area_and_layer_come_back_and_other_columns_do_not(store, recording):
    units = recording.units.with_columns(
        brain_area=pl.Series(["V1", "LM", "V1"]), layer=pl.Series(["L2/3", None, "L4"]), note=pl.lit("x")
    )
    loaded = round_trip(store, replace(recording, units=units))
    polars.testing.assert_frame_equal(loaded.units, units.drop("note"))


def test_whole_numbers_become_floats_where_the_kind_says_so(store, recording):
    fields_px = recording.fields.with_columns(pl.col("px_height", "px_width").cast(pl.Int64))
    loaded = round_trip(store, replace(recording, fields=fields_px))
    assert loaded.fields["px_height"].dtype == pl.Float64

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.store import open_store
from inception_loop.dataset.config import FrameSize
from inception_loop.dataset.frame import FrameConfig, make_frame, network_frames
from inception_loop.dataset.scan_tables import ScanConfig, make_monitor_calibration
from inception_loop.errors import DataError
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.recording import Calibration


@pytest.fixture
def framed(store, save):
    def make(recording, size=None, into=store):
        ref = save(recording)
        scan = recording.scan
        calibration = make_monitor_calibration(into, ScanConfig(scan=scan), recording=ref).ref
        config = FrameConfig(scan=scan, frame=size or FrameSize())
        return make_frame(into, config, recording=ref, calibration=calibration).ref

    return make


def frames_of(store, ref):
    return store.arrays(ref, "frames")["frames"]


def test_frames_stand_in_the_order_of_the_conditions(store, framed, make_recording):
    r = make_recording()
    rows = np.random.default_rng(0).integers(0, len(r.images), len(r.images))
    r = replace(r, conditions=r.conditions.with_columns(image_row=rows))
    ref = framed(r)
    np.testing.assert_array_equal(frames_of(store, ref), network_frames(r.images, FrameSize())[rows])
    assert (
        store.table(ref, "conditions")["condition_hash"].to_list() == r.conditions["condition_hash"].to_list()
    )


def test_blocks_do_not_change_the_frames(store, framed, make_recording, monkeypatch):
    r = make_recording()
    monkeypatch.setattr("inception_loop.dataset.frame.BLOCK_BYTES", 7 * 72 * 128)
    np.testing.assert_array_equal(frames_of(store, framed(r)), network_frames(r.images, FrameSize()))


def test_pictures_that_came_as_floats_become_frames(store, framed, make_recording):
    r = make_recording()
    floats = replace(r, images=r.images.astype(np.float32) * np.float32(0.5))
    want = network_frames(r.images, FrameSize()) / 2
    np.testing.assert_array_equal(frames_of(store, framed(floats)), want)


def test_luminance_of_pictures_that_came_as_floats(store, framed, make_recording):
    curve = Calibration(np.array([0.0, 255.0]), np.array([1.0, 52.0]), "2020-01-01T00:00:00")
    r = make_recording(calibration=curve)
    floats = replace(r, images=r.images.astype(np.float32) * np.float32(0.5))
    got = frames_of(store, framed(floats, FrameSize(gamma=True)))
    np.testing.assert_allclose(got, 1 + 0.2 * network_frames(floats.images, FrameSize()), rtol=1e-5)


@pytest.mark.parametrize(
    ("aspect", "shape", "want"),
    [("refuse", (72, 128), (0, 0)), ("letterbox", (80, 128), (60, 0)), ("crop", (80, 128), (0, 60))],
)
def test_findings_count_what_was_letterboxed_or_cropped(store, framed, make_recording, aspect, shape, want):
    images = np.random.default_rng(1).integers(0, 256, (60, *shape), dtype=np.uint8)
    findings = store.manifest(framed(make_recording(images=images), FrameSize(aspect=aspect))).findings
    assert (findings["n_letterboxed"], findings["n_cropped"]) == want
    assert (findings["shown_height_px"], findings["shown_width_px"]) == shape


def test_another_aspect_ratio_is_refused_and_leaves_nothing(store, framed, make_recording):
    r = make_recording(images=np.zeros((60, 80, 128), np.uint8))
    with pytest.raises(DataError, match=r"80×128.*36×64"):
        framed(r)


def test_conditions_that_show_the_same_pixels_are_counted(store, framed, make_recording):
    r = make_recording()
    assert store.manifest(framed(r)).findings["n_same_pixels"] == 0
    images = r.images.copy()
    images[[3, 4, 9]] = images[5]
    again = make_recording(scan=(17, 3, 1), images=images)
    assert store.manifest(framed(again)).findings["n_same_pixels"] == 4


def test_the_memory_of_large_pictures_is_bounded(tmp_path, make_recording):
    store = open_store(tmp_path.as_uri())
    images = np.random.default_rng(2).integers(0, 256, (60, 720, 1280), dtype=np.uint8)  # 55 MB
    r = make_recording(images=images)
    config = ScanConfig(scan=r.scan)
    ref = store.make(RECORDING, config, lambda attempt: save_recording(attempt, r)).ref
    calibration = make_monitor_calibration(store, config, recording=ref).ref
    tracemalloc.start()
    made = make_frame(store, FrameConfig(scan=config.scan), recording=ref, calibration=calibration).ref
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20  # most of it the store's chunk of 16 MB
    assert frames_of(store, made).shape == (60, 36, 64)
    assert store.table(made, "conditions").select(pl.len()).item() == 60

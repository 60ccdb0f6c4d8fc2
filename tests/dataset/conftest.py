"""A small recording whose every value is known in closed form."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.store import open_store
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.recording import (
    Calibration,
    EyeTrace,
    Recording,
    ScanKey,
    Traces,
    TreadmillTrace,
)

DT = 0.1
TRIAL_S = 1.0
N_FRAMES = 700


def recording_of(scan=(17, 1, 2), n_units=6, n_images=60, **changes) -> Recording:
    """60 trials, of which image 0 is shown 6 times and image 1 twice; traces are noise, clocks drift."""
    rng = np.random.default_rng(scan[1])
    frame_times = 5.0 + DT * np.arange(N_FRAMES)
    shown = [0] * 6 + [1] * 2 + list(range(2, n_images - 6))
    order = rng.permutation(shown)
    onset = frame_times[0] + 2.0 + TRIAL_S * np.arange(len(order))
    trials = pl.DataFrame(
        {
            "trial_idx": 100 + np.arange(len(order)),
            "condition_hash": [f"c{i:03d}" for i in order],
            "clear_flip": onset - 0.3,
            "onset_flip": onset,
            "offset_flip": onset + 0.5,
        }
    )
    conditions = pl.DataFrame(
        {
            "condition_hash": [f"c{i:03d}" for i in range(n_images)],
            "image_class": ["imagenet"] * n_images,
            "image_id": np.arange(n_images),
            "source_id": [f"photo{i}" for i in range(n_images)],
            "image_row": np.arange(n_images),
        }
    )
    units = pl.DataFrame(
        {
            "unit_id": [11, 3, 7, 5, 2, 9][:n_units],
            "field": [1, 1, 1, 2, 2, 2][:n_units],
            "px_x": [1.0, 20, 50, 60, 90, 99][:n_units],
            "px_y": [50.0] * n_units,
            "um_x": np.linspace(0, 300, n_units),
            "um_y": np.zeros(n_units),
            "um_z": [150.0, 150, 150, 350, 350, 350][:n_units],
            "ms_delay": np.linspace(0, 80, n_units),
            "mask_type": ["soma", "soma", "axon", "soma", "soma", "soma"][:n_units],
        }
    )
    fields = pl.DataFrame(
        {
            "field": [1, 2],
            "px_height": [100, 100],
            "px_width": [100, 100],
            "um_height": [400.0, 400.0],
            "um_width": [200.0, 200.0],
            "x": [0.0, 0.0],
            "y": [0.0, 0.0],
            "z": [150.0, 350.0],
        }
    )
    behavior = 1000.0 + 1.0001 * frame_times
    eye_time = np.arange(behavior[0] - 3, behavior[-1] + 3, 0.05)
    made = Recording(
        scan=ScanKey(animal_id=scan[0], session=scan[1], scan_idx=scan[2]),
        trace_kind="deconvolved",
        activity=Traces(rng.random((n_units, N_FRAMES), dtype=np.float32), frame_times, behavior),
        trials=trials,
        conditions=conditions,
        images=rng.integers(0, 256, (n_images, 72, 128), dtype=np.uint8),
        units=units,
        fields=fields,
        eye=EyeTrace(
            eye_time, 20 + np.sin(eye_time), 3 + 0.1 * np.cos(0.3 * eye_time), 0.02 * (eye_time - 1000)
        ),
        treadmill=TreadmillTrace(eye_time, -2 + np.sin(0.5 * eye_time)),
        calibration=Calibration(np.array([0.0, 255.0]), np.array([1.0, 52.0]), "2020-01-01T00:00:00"),
        excluded_trials=pl.DataFrame({"trial_idx": [104], "reason": ["the animal slept"]}),
    )
    return replace(made, **changes) if changes else made


@pytest.fixture
def make_recording():
    return recording_of


class RecordedConfig(Config):
    """Configuration of a recording made in a test."""

    scan: ScanKey
    variant: str = ""


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}")


@pytest.fixture
def save(store):
    """Put a recording into the store and return its reference."""

    def put(recording: Recording, variant: str = ""):
        config = RecordedConfig(scan=recording.scan, variant=variant)
        return store.make(RECORDING, config, lambda attempt: save_recording(attempt, recording)).ref

    return put

"""A sound recording with a few units and trials."""

import numpy as np
import polars as pl
import pytest

from inception_loop.recordings.recording import (
    Calibration,
    EyeTrace,
    Recording,
    ScanKey,
    Traces,
    TreadmillTrace,
)


def sound_parts() -> dict:
    """Parts of a recording of 3 masks, 40 frames, 4 trials, 2 conditions."""
    rng = np.random.default_rng(1)
    clock = 2.0 + 0.1 * np.arange(40)
    eye = np.linspace(100, 105, 80)
    return {
        "scan": ScanKey(animal_id=7, session=2, scan_idx=3),
        "trace_kind": "deconvolved",
        "activity": Traces(rng.random((3, 40), dtype=np.float32), clock, clock + 98),
        "eye": EyeTrace(eye, rng.random(80), rng.random(80), rng.random(80)),
        "treadmill": TreadmillTrace(eye, rng.random(80)),
        "trials": pl.DataFrame(
            {
                "trial_idx": [0, 1, 2, 3],
                "condition_hash": ["a", "b", "a", "b"],
                "clear_flip": [2.1, 2.9, 3.7, 4.5],
                "onset_flip": [2.5, 3.3, 4.1, 4.9],
                "offset_flip": [3.0, 3.8, 4.6, float("nan")],
            }
        ),
        "conditions": pl.DataFrame(
            {
                "condition_hash": ["a", "b"],
                "image_class": ["natural", "natural"],
                "image_id": [0, 1],
                "source_id": ["p", "q"],
                "image_row": [1, 0],
            }
        ),
        "images": rng.integers(0, 256, (2, 36, 64), dtype=np.uint8),
        "units": pl.DataFrame(
            {
                "unit_id": [5, 2, 9],
                "field": [1, 1, 2],
                "px_x": [1.0, 2.0, 3.0],
                "px_y": [1.0, 2.0, 3.0],
                "um_x": [1.0, 2.0, 3.0],
                "um_y": [1.0, 2.0, 3.0],
                "um_z": [100.0, 100.0, 200.0],
                "ms_delay": [0.0, 10.0, 60.0],
                "mask_type": ["soma", "artifact", "soma"],
            }
        ),
        "fields": pl.DataFrame(
            {
                "field": [1, 2],
                "px_height": [256.0, 256.0],
                "px_width": [256.0, 256.0],
                "um_height": [400.0, 400.0],
                "um_width": [400.0, 400.0],
                "x": [0.0, 0.0],
                "y": [0.0, 0.0],
                "z": [100.0, 200.0],
            }
        ),
        "calibration": Calibration(np.array([0.0, 255.0]), np.array([0.1, 20.0]), "2019-01-01T00:00:00"),
        "stack_coordinates": pl.DataFrame(
            {
                "stack_session": [9, 9],
                "stack_idx": [1, 1],
                "field": [1, 2],
                "unit_id": [5, 9],
                "stack_x": [1.0, 2.0],
                "stack_y": [1.0, 2.0],
                "stack_z": [1.0, 2.0],
            }
        ),
        "excluded_trials": pl.DataFrame({"trial_idx": [2], "reason": ["asleep"]}),
    }


@pytest.fixture
def parts():
    return sound_parts()


@pytest.fixture
def recording(parts):
    return Recording(**parts)

"""A member of a group whose every number is known, because it is written down here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.quality.member import Member
from inception_loop.recordings.recording import (
    EyeTrace,
    Recording,
    ScanKey,
    Traces,
    TreadmillTrace,
    TrialResponses,
)

FRAMES, DT, BEGIN = 1300, 0.1, 50.0
N_TRIALS = 120
REASONS = {
    7: "no onset flip",
    8: "eye untracked",
    9: "eye untracked",
    10: "excluded: moved",
    11: "image without a tier",
}
LOST = (7, 10)


def tables(n_units: int):
    images = [f"t{i % 4}" if i % 6 == 0 else f"i{i}" for i in range(N_TRIALS)]  # 20 trials of 4 test images
    status = ["" if i not in LOST else REASONS[i] for i in range(N_TRIALS)]
    valid = np.array([one == "" for one in status])
    trials = pl.DataFrame(
        {
            "trial_idx": np.arange(N_TRIALS),
            "condition_hash": images,
            "tier": [
                "test" if image[0] == "t" else "validation" if i % 6 == 1 else "train"
                for i, image in enumerate(images)
            ],
            "used": [i not in REASONS for i in range(N_TRIALS)],
            "reason": [REASONS.get(i, "") for i in range(N_TRIALS)],
            "response_row": [int(valid[:i].sum()) if valid[i] else None for i in range(N_TRIALS)],
        }
    )
    units = pl.DataFrame(
        {
            "neuron_id": np.arange(n_units),
            "unit_id": 10 + np.arange(n_units),
            "brain_area": ["V1"] * (n_units - 1) + ["LM"],
            "layer": ["L2/3"] * n_units,
        }
    )
    return trials, units, pl.DataFrame({"trial_idx": np.arange(N_TRIALS), "status": status})


def recording_of(trials: pl.DataFrame, values: np.ndarray) -> Recording:
    frame_times = BEGIN + DT * np.arange(FRAMES)
    behavior = 1000 + 2 * frame_times
    eye_time = np.arange(behavior[0] - 4, behavior[-1] + 4, 0.1)
    onset = np.where([i == 7 for i in range(N_TRIALS)], np.nan, BEGIN + 1 + np.arange(N_TRIALS))
    shown = trials["condition_hash"].unique(maintain_order=True)
    n = values.shape[0]
    return Recording(
        scan=ScanKey(animal_id=3, session=2, scan_idx=1),
        trace_kind="deconvolved",
        activity=Traces(values, frame_times, behavior),
        trials=trials.select(
            "trial_idx",
            "condition_hash",
            clear_flip=pl.lit(np.nan),
            onset_flip=pl.Series(onset),
            offset_flip=pl.lit(np.nan),
        ),
        conditions=pl.DataFrame(
            {
                "condition_hash": shown,
                "image_class": "natural",
                "image_id": np.arange(len(shown)),
                "source_id": "",
                "image_row": 0,
            }
        ),
        images=np.zeros((1, 4, 4), np.uint8),
        units=pl.DataFrame(
            {
                "unit_id": 10 + np.arange(n),
                "field": 1,
                **dict.fromkeys(("px_x", "px_y", "um_x", "um_y", "um_z"), 1.0),
                "ms_delay": 0.0,
                "mask_type": "soma",
            }
        ),
        fields=pl.DataFrame(
            {
                "field": [1],
                **dict.fromkeys(("px_height", "px_width", "um_height", "um_width", "x", "y", "z"), 9.0),
            }
        ),
        eye=EyeTrace(
            eye_time, np.where(np.arange(eye_time.size) < 100, np.nan, 20.0), eye_time / 100, eye_time * 0
        ),
        treadmill=TreadmillTrace(eye_time, np.full(eye_time.size, 3.0)),
    )


def known_member(**changes) -> Member:
    """120 trials of 4 units of which the last is silent; unit 0 always 2, then 4 in the last third."""
    n_units = 4
    trials, units, status = tables(n_units)
    rng = np.random.default_rng(0)
    n_valid = N_TRIALS - len(LOST)
    responses = rng.gamma(1, 1, (n_valid, n_units)).astype(np.float32)
    responses[:, 3] = 1.5
    values = rng.gamma(1, 1, (n_units, FRAMES)).astype(np.float32)
    values[:, :13] = np.nan
    tracked = np.array([i not in (8, 9) for i in range(N_TRIALS)])
    pupil = np.where(np.arange(N_TRIALS) % 2, 12.0, 8.0)
    member = Member(
        name="group000-3-2-1",
        recording=recording_of(trials, values),
        trials=trials,
        units=units,
        status=status,
        responses=responses,
        eye=pl.DataFrame(
            {
                "trial_idx": np.arange(N_TRIALS),
                "pupil": pl.Series(np.where(tracked, pupil, np.nan)).fill_nan(None),
                "center_x": pl.Series(np.where(tracked, pupil / 4, np.nan)).fill_nan(None),
                "center_y": pl.Series(np.where(tracked, pupil / 8, np.nan)).fill_nan(None),
                "valid": tracked,
            }
        ),
        treadmill=pl.DataFrame(
            {
                "trial_idx": np.arange(N_TRIALS),
                "treadmill": np.where(np.arange(N_TRIALS) < 30, 5.0, 0.5),
                "valid": [True] * N_TRIALS,
            }
        ),
        filled={"traces": 13 * n_units, "eye": 4, "treadmill": 0},
        lookalikes=frozenset({"t2", "i1"}),
        lag1=0.07,
        pairs_across_tiers=1,
        sources_in_two_tiers=0,
    )
    return replace(member, **changes)


def binned_member() -> Member:
    """The same, handed over as one value a trial, without eye and running."""
    member = known_member()
    values = np.full((N_TRIALS, 4), np.nan, np.float32)
    values[(member.status["status"] == "").to_numpy()] = member.responses
    recording = replace(member.recording, activity=TrialResponses(values), eye=None, treadmill=None)
    unknown = (pl.lit(None, pl.Float64).alias(name) for name in ("pupil", "center_x", "center_y"))
    nothing = member.eye.with_columns(*unknown, valid=False)
    return replace(
        member,
        recording=recording,
        eye=nothing,
        treadmill=nothing.select("trial_idx", treadmill="pupil", valid="valid"),
        filled={"traces": 0, "eye": 0, "treadmill": 0},
    )


@pytest.fixture
def make_member():
    return known_member


@pytest.fixture
def member() -> Member:
    return known_member()


@pytest.fixture
def binned() -> Member:
    return binned_member()

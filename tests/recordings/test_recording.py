"""A recording that contradicts itself is refused with the scan and the part named."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import RecordingError
from inception_loop.recordings.recording import (
    EyeTrace,
    Recording,
    TreadmillTrace,
    TrialEye,
    TrialResponses,
    TrialTreadmill,
)


def test_a_sound_recording_stands(recording):
    assert recording.activity.values.shape == (3, 40)


def test_eye_running_calibration_and_stacks_may_be_missing(parts):
    for name in ("eye", "treadmill", "calibration", "stack_coordinates", "excluded_trials"):
        del parts[name]
    lean = Recording(**parts)
    assert lean.eye is None
    assert lean.stack_coordinates.height == 0
    assert lean.excluded_trials.height == 0


def test_responses_binned_per_trial_need_neither_flips_nor_clocks(recording):
    nowhere = pl.lit(float("nan"))
    binned = replace(
        recording,
        activity=TrialResponses(np.arange(12, dtype=np.float32).reshape(4, 3)),
        trials=recording.trials.with_columns(clear_flip=nowhere, onset_flip=nowhere, offset_flip=nowhere),
        eye=TrialEye(*np.zeros((4, 4))),
        treadmill=TrialTreadmill(np.full(4, np.nan)),
    )
    assert binned.activity.values.shape == (4, 3)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_one_frame_more_or_less_than_the_clock_is_allowed(recording, extra):
    frames = np.zeros((3, 40 + extra), dtype=np.float32)
    assert with_activity(recording, values=frames).activity.values.shape[1] == 40 + extra


def with_activity(recording, **changes):
    """Return the recording with other traces or clocks."""
    return replace(recording, activity=replace(recording.activity, **changes))


def spoil(name, change):
    """Return a change of one part."""
    return lambda r: {name: change(getattr(r, name))}


def spoil_activity(name, change):
    """Return a change of the traces or a clock."""
    return lambda r: {"activity": replace(r.activity, **{name: change(getattr(r.activity, name))})}


def clock_back(clock):
    """Return a clock that goes back once."""
    return np.where(np.arange(len(clock)) == 7, clock[0], clock)


WRONG = {
    "units lack a column": (
        spoil("units", lambda t: t.drop("ms_delay")),
        "table units lacks column 'ms_delay'",
    ),
    "a unit twice": (spoil("units", lambda t: t.with_columns(unit_id=pl.lit(4))), "unit_id 4 stands twice"),
    "a trial twice": (spoil("trials", lambda t: pl.concat([t, t[:1]])), "trial_idx 0 stands twice in trials"),
    "a condition twice": (
        spoil("conditions", lambda t: pl.concat([t, t[:1]])),
        "condition_hash a stands twice",
    ),
    "a field unknown": (spoil("fields", lambda t: t[:1]), "unit 9 lies in field 2"),
    "traces of other units": (spoil_activity("values", lambda x: x[:2]), r"traces have shape \(2, 40\)"),
    "two frames too many": (
        spoil_activity("values", lambda x: np.zeros((3, 42), dtype=np.float32)),
        "42 frames but there are 40 frame times",
    ),
    "a trace all NaN": (
        spoil_activity(
            "values", lambda x: np.where(np.arange(3)[:, None] == 1, np.nan, x).astype(np.float32)
        ),
        "the trace of unit 2 is all NaN",
    ),
    "clocks of other length": (
        spoil_activity("behavior_frame_times", lambda x: x[:-1]),
        "40 frame times but 39 behaviour",
    ),
    "a clock that goes back": (
        spoil_activity("frame_times", clock_back),
        "frame_times does not increase at sample 7",
    ),
    "a clock with NaN": (
        spoil_activity("behavior_frame_times", lambda x: np.where(x == x[3], np.nan, x)),
        "behavior_frame_times has shape .* or holds NaN",
    ),
    "eye values of other length": (
        spoil("eye", lambda e: EyeTrace(e.time, e.pupil_radius[:-1], e.center_x, e.center_y)),
        "eye has 80 times but 79 values",
    ),
    "running of other length": (
        spoil("treadmill", lambda t: TreadmillTrace(t.time, t.velocity[:-2])),
        "treadmill has 80 times but 78 values",
    ),
    "a trace with infinities": (
        spoil_activity("values", lambda x: np.where(np.arange(40) == 3, np.inf, x).astype(np.float32)),
        "the trace of unit 5 holds infinite values",
    ),
    "traces of a unit whose delay is not known": (
        spoil("units", lambda t: t.with_columns(ms_delay=pl.Series([0.0, float("nan"), 1.0]))),
        "unit 2 has ms_delay nan; expected ms",
    ),
    "a mask of no known type": (
        spoil("units", lambda t: t.with_columns(mask_type=pl.Series(["soma", "somma", "soma"]))),
        "unit 2 has mask_type 'somma'; expected one of soma",
    ),
    "trials out of order": (
        spoil("trials", lambda t: t[[0, 2, 1, 3]]),
        "trial 1 has an onset before that of the trial above it",
    ),
    "a tier of no known name": (
        spoil("conditions", lambda t: t.with_columns(tier=pl.Series([None, "tset"]))),
        "condition 'b' has tier 'tset'",
    ),
    "images of numbers that are no grey levels": (
        spoil("images", lambda x: x.astype(np.float64)),
        "images are float64",
    ),
    "an image with NaN": (
        spoil("images", lambda x: np.where(x == x.flat[0], np.nan, x).astype(np.float32)),
        "image 0 holds NaN",
    ),
    "a trace of the eye beside binned responses": (
        lambda r: {"activity": TrialResponses(np.zeros((4, 3), np.float32))},
        "eye is a trace, but the responses are binned",
    ),
    "responses of other trials": (
        lambda r: {"activity": TrialResponses(np.zeros((5, 3), np.float32)), "eye": None, "treadmill": None},
        r"responses have shape \(5, 3\); expected \(4 trials, 3 units\)",
    ),
    "responses of a unit all NaN": (
        lambda r: {
            "activity": TrialResponses(np.array([[0, np.nan, 1]] * 4, np.float32)),
            "eye": None,
            "treadmill": None,
        },
        "the responses of unit 2 are all NaN",
    ),
    "running of too few trials": (
        lambda r: {"treadmill": TrialTreadmill(np.zeros(3))},
        "treadmill has 4 trials but 3 values of speed",
    ),
    "no trials": (spoil("trials", lambda t: t[:0]), "no trials"),
    "no images": (spoil("images", lambda x: x[:0]), "at least 1 image"),
    "image row outside": (
        spoil("conditions", lambda t: t.with_columns(image_row=pl.lit(2))),
        r"conditions point outside the 2 images; expected image_row 0\.\.1",
    ),
    "condition unknown": (
        spoil("trials", lambda t: t.with_columns(condition_hash=pl.lit("z"))),
        "trial 0 shows condition 'z'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_contradiction_is_refused_by_name(recording, case):
    change, message = WRONG[case]
    with pytest.raises(RecordingError, match=message) as refused:
        replace(recording, **change(recording))
    assert str(refused.value).startswith("scan 7-2-3: ")
    assert "\n" not in str(refused.value)

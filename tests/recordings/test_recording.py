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


def flip(name, row, time):
    """Return a change of one flip of the trials."""
    at = pl.int_range(pl.len()) == row
    return spoil("trials", lambda t: t.with_columns(pl.when(at).then(time).otherwise(name).alias(name)))


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
    "a blank after its image": (
        flip("clear_flip", 2, 4.11),
        r"trial 2 has its clear_flip at 4\.110 s, after its onset_flip at 4\.100 s",
    ),
    "an image that ends before it begins": (
        flip("offset_flip", 1, 3.2),
        r"trial 1 has its offset_flip at 3\.200 s, not after its onset_flip at 3\.300 s",
    ),
    "an image of no duration": (flip("offset_flip", 1, 3.3), "trial 1 has its offset_flip at 3.300 s, not"),
    "two images at a time": (
        flip("offset_flip", 1, 4.121),
        r"trial 2 has its onset_flip at 4\.100 s, before trial 1 goes off at 4\.121 s; .* to 20 ms",
    ),
    "an image that stays on over two others": (
        flip("offset_flip", 0, 9.0),
        r"trial 1 has its onset_flip at 3\.300 s, before trial 0 goes off at 9\.000 s",
    ),
    "an image inside one before a trial without times": (
        lambda r: {
            "trials": r.trials.with_columns(
                onset_flip=pl.Series([2.5, None, 4.1, 4.9]), offset_flip=pl.Series([4.2, None, None, None])
            )
        },
        r"trial 2 has its onset_flip at 4\.100 s, before trial 0 goes off at 4\.200 s",
    ),
    "a trial excluded that is none": (
        spoil("excluded_trials", lambda t: pl.DataFrame({"trial_idx": [2, 40, 41], "reason": ["", "", ""]})),
        "excluded_trials name trial 40, which trials does not list",
    ),
    "a trial excluded twice": (
        spoil("excluded_trials", lambda t: pl.concat([t, t])),
        "trial 2 stands twice in excluded_trials",
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


def test_flips_of_two_clocks_may_cross_by_a_refresh_of_the_monitor_and_no_blank_need_be_shown(recording):
    trials = recording.trials.with_columns(
        clear_flip=pl.col("onset_flip"), offset_flip=pl.col("onset_flip").shift(-1) + 0.019
    )
    assert replace(recording, trials=trials).trials.height == 4


@pytest.mark.parametrize("case", WRONG)
def test_a_contradiction_is_refused_by_name(recording, case):
    change, message = WRONG[case]
    with pytest.raises(RecordingError, match=message) as refused:
        replace(recording, **change(recording))
    assert str(refused.value).startswith("scan 7-2-3: ")
    assert "\n" not in str(refused.value)

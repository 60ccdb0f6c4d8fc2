"""A recording that contradicts itself is refused with the scan and the part named."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import RecordingError
from inception_loop.recordings.recording import EyeTrace, Recording, TreadmillTrace


def test_a_sound_recording_stands(recording):
    assert recording.traces.shape == (3, 40)


def test_eye_running_calibration_and_stacks_may_be_missing(parts):
    for name in ("eye", "treadmill", "calibration", "stack_coordinates", "excluded_trials"):
        del parts[name]
    lean = Recording(**parts)
    assert lean.eye is None
    assert lean.stack_coordinates.height == 0
    assert lean.excluded_trials.height == 0


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_one_frame_more_or_less_than_the_clock_is_allowed(recording, extra):
    frames = np.zeros((3, 40 + extra), dtype=np.float32)
    assert replace(recording, traces=frames).traces.shape[1] == 40 + extra


def spoil(name, change):
    """Return a change of one table."""
    return lambda r: {name: change(getattr(r, name))}


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
    "traces of other units": (spoil("traces", lambda x: x[:2]), r"traces have shape \(2, 40\)"),
    "two frames too many": (
        spoil("traces", lambda x: np.zeros((3, 42), dtype=np.float32)),
        "42 frames but there are 40 frame times",
    ),
    "a trace all NaN": (
        spoil("traces", lambda x: np.where(np.arange(3)[:, None] == 1, np.nan, x).astype(np.float32)),
        "the trace of unit 2 is all NaN",
    ),
    "clocks of other length": (
        spoil("behavior_frame_times", lambda x: x[:-1]),
        "40 frame times but 39 behaviour",
    ),
    "a clock that goes back": (spoil("frame_times", clock_back), "frame_times does not increase at sample 7"),
    "a clock with NaN": (
        spoil("behavior_frame_times", lambda x: np.where(x == x[3], np.nan, x)),
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

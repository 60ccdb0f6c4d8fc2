from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.dataset import trace_reading
from inception_loop.dataset import trial_status as module
from inception_loop.dataset.config import LostData, ResponseWindow
from inception_loop.dataset.input_response import InputResponseConfig, make_input_response
from inception_loop.dataset.responses import respond, soma_rows
from inception_loop.dataset.sampling import hamming_window, smooth
from inception_loop.dataset.scan_tables import ScanConfig, make_excluded_trial
from inception_loop.dataset.trace_reading import TraceSampler, fill_nans, trace_blocks
from inception_loop.dataset.trial_status import trial_status
from inception_loop.errors import RecordingError
from inception_loop.recordings.recording import Traces

NONE = pl.DataFrame(schema={"trial_idx": pl.Int64, "reason": pl.String})


def read_traces(traces, rows, frame_times, delays, instants, window):
    """Read some units, in ascending order, block after block."""
    sample = TraceSampler(frame_times, instants, delays, window)
    out, filled = np.full((instants.size, len(rows)), np.nan, np.float32), 0
    for units, block, lost, _ in trace_blocks(traces, rows, frame_times.size, sample.bytes_of_a_unit):
        out[:, units] = sample(block, delays[units])
        filled += int(lost.sum())
    return out, filled


def slow(traces, frame_times, delays, instants, window):
    """Filter every trace whole, then interpolate."""
    return np.stack(
        [
            np.interp(instants, frame_times + d, smooth(t.astype(np.float64), window))
            for t, d in zip(traces, delays, strict=True)
        ],
        axis=1,
    )


@pytest.mark.parametrize("size", [1, 3, 11])
@pytest.mark.parametrize("block", [1, 10**9])
def test_reading_equals_filtering_whole_traces(size, block, monkeypatch):
    monkeypatch.setattr(trace_reading, "BLOCK_BYTES", block)
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.09, 0.11, 200))
    traces, delays = rng.normal(size=(7, 200)).astype(np.float32), rng.uniform(0, 0.1, 7)
    instants = np.sort(rng.uniform(times[0] + 0.1, times[-1], 60))
    window = hamming_window((size // 2) * 0.1, 0.1)
    assert window.size == size
    got, filled = read_traces(traces, np.arange(len(traces)), times, delays, instants, window)
    assert filled == 0
    np.testing.assert_allclose(got, slow(traces, times, delays, instants, window), atol=1e-6)


def test_a_ramp_is_read_at_every_units_own_delay():
    times = np.arange(300) * 0.1
    delays = np.linspace(0, 0.099, 12)
    traces = np.repeat((3.0 * times)[None], 12, axis=0).astype(np.float32)
    instants = np.arange(5.0, 25.0, 0.83)
    got, _ = read_traces(traces, np.arange(len(traces)), times, delays, instants, hamming_window(0.5, 0.1))
    np.testing.assert_allclose(got, 3.0 * (instants[:, None] - delays[None]), atol=1e-4)


def test_a_constant_stays_constant_up_to_the_ends_of_the_recording():
    times = np.arange(50) * 0.1
    got, _ = read_traces(
        np.full((2, 50), 4.0, np.float32),
        np.arange(2),
        times,
        np.zeros(2),
        np.array([0.0, 0.05, 4.85, 4.9]),
        hamming_window(0.5, 0.1),
    )
    np.testing.assert_allclose(got, 4.0)


def test_units_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(1)
    times = np.arange(100) * 0.1
    traces = rng.random((9, 100), dtype=np.float32)
    delays, instants, window = rng.uniform(0, 0.1, 9), np.arange(1.0, 9.0), hamming_window(0.5, 0.1)
    whole, _ = read_traces(traces, np.arange(len(traces)), times, delays, instants, window)
    order = np.sort(rng.permutation(9)[:4])
    part, _ = read_traces(traces, order, times, delays[order], instants, window)
    np.testing.assert_array_equal(part, whole[:, order])


def test_nans_inside_a_trace_are_interpolated_and_counted():
    times = np.arange(100) * 0.1
    trace = (2 * times).astype(np.float32)[None].repeat(2, 0)
    trace[1, 40:60] = np.nan
    got, filled = read_traces(
        trace, np.arange(2), times, np.zeros(2), np.array([4.0, 5.0]), hamming_window(0.5, 0.1)
    )
    assert filled == 20
    np.testing.assert_allclose(got[:, 1], got[:, 0], rtol=1e-6)
    assert np.isnan(trace[1, 40])


def test_a_trace_without_nans_is_passed_on_unchanged():
    trace = np.ones((1, 3), np.float32)
    assert fill_nans(trace)[0] is trace


def status(recording, **changes):
    trials = recording.trials.with_columns(**changes)
    return trial_status(trials, NONE, ResponseWindow(), 5.0, 74.9)


@pytest.mark.parametrize("flip", ["clear_flip", "onset_flip", "offset_flip"])
@pytest.mark.parametrize(("row", "at"), [(0, 4.999), (-1, 74.901)])
def test_a_flip_outside_the_recording_makes_a_trial_invalid(make_recording, flip, row, at):
    r = make_recording()
    trial = r.trials["trial_idx"][row]
    got = status(r, **{flip: pl.when(pl.col("trial_idx") == trial).then(at).otherwise(flip)})
    assert got.filter(pl.col("status") != "").select("trial_idx", "status").rows() == [
        (trial, module.OUTSIDE)
    ]


def test_a_missing_offset_or_clear_flip_is_no_flip(make_recording):
    got = status(make_recording(), clear_flip=pl.lit(None), offset_flip=pl.lit(np.nan))
    assert (got["status"] == "").all()


def test_a_trial_without_onset_or_with_its_instant_outside_is_invalid(make_recording):
    r = make_recording()
    onset = pl.when(pl.col("trial_idx") == 101).then(None).otherwise("onset_flip")
    got = status(r, onset_flip=onset)
    assert got.filter(trial_idx=101)["status"].item() == module.NO_ONSET
    cut = trial_status(
        r.trials, NONE, ResponseWindow(duration=0.5, offset=0.2), 5.0, r.trials["offset_flip"].max()
    )
    assert (cut["status"] == "").all()  # 0.45 s after the onset the image is still on
    late = trial_status(r.trials, NONE, ResponseWindow(offset=0.3), 5.0, r.trials["offset_flip"].max())
    assert late["status"].to_list()[-1] == module.OUTSIDE


def test_excluded_trials_are_left_out_and_say_why(make_recording):
    r = make_recording()
    responses, table, *_ = respond(r, r.excluded_trials, ResponseWindow())
    assert table.filter(trial_idx=104)["status"].item() == "excluded: the animal slept"
    assert len(responses) == r.trials.height - 1


@pytest.mark.parametrize(("off", "error"), [(0.049, False), (-0.049, False), (0.051, True), (-0.051, True)])
def test_a_median_time_on_more_than_50_ms_off_is_an_error(make_recording, off, error):
    r = make_recording()
    changed = {"offset_flip": pl.col("onset_flip") + 0.5 + off}
    if error:
        with pytest.raises(RecordingError, match="were on for"):
            status(r, **changed)
    else:
        status(r, **changed)


def test_raw_fluorescence_is_refused(make_recording):
    r = replace(make_recording(), trace_kind="dff")
    with pytest.raises(RecordingError, match="deconvolve"):
        respond(r, r.excluded_trials, ResponseWindow())


def test_only_somata_become_units_in_the_order_of_their_ids(make_recording):
    r = make_recording()
    rows = soma_rows(r.units)
    assert r.units["unit_id"].to_numpy()[rows].tolist() == [2, 3, 5, 9, 11]
    responses, *_ = respond(r, NONE, ResponseWindow())
    clock, delays = r.activity.frame_times, r.units["ms_delay"].to_numpy() / 1000
    want = slow(
        r.activity.values[rows],
        clock,
        delays[rows],
        r.trials["onset_flip"].to_numpy() + 0.3,
        hamming_window(0.5, 0.1),
    )
    np.testing.assert_allclose(responses, want, atol=1e-6)


def test_without_a_soma_there_is_nothing_to_read(make_recording):
    r = make_recording()
    with pytest.raises(RecordingError, match="no unit is a soma"):
        respond(replace(r, units=r.units.with_columns(mask_type=pl.lit("axon"))), NONE, ResponseWindow())


@pytest.mark.parametrize("frames", [-1, 1])
def test_one_frame_more_or_less_is_cut(make_recording, frames):
    r = make_recording()
    values = r.activity.values
    longer = np.concatenate([values, values[:, -1:]], axis=1)
    cut = replace(r.activity, values=longer if frames > 0 else values[:, :-1])
    other = replace(r, activity=cut)
    np.testing.assert_array_equal(
        respond(other, NONE, ResponseWindow())[0], respond(r, NONE, ResponseWindow())[0]
    )


def test_no_valid_trial_is_an_error(make_recording):
    r = make_recording()
    every = pl.DataFrame({"trial_idx": r.trials["trial_idx"], "reason": "no"})
    with pytest.raises(RecordingError, match="no valid trial"):
        respond(r, every, ResponseWindow())


@pytest.mark.parametrize("frequency", [0.11, 0.35, 0.8, 1.6])
@pytest.mark.parametrize("dt", [0.1, 0.125, 1 / 30])
def test_a_sine_is_read_with_the_gain_of_the_window(make_recording, frequency, dt):
    """Window and line between two frames, both in closed form, at every unit's own delay."""
    r = make_recording()
    clock = 5 + dt * np.arange(int(70 / dt))
    delays = r.units["ms_delay"].to_numpy() / 1000
    turn = 2 * np.pi * frequency
    traces = np.sin(turn * (clock + delays[:, None])).astype(np.float32)
    got = respond(replace(r, activity=Traces(traces, clock, 1000 + clock)), NONE, ResponseWindow())
    rows = soma_rows(r.units)
    at = r.trials["onset_flip"].to_numpy()[:, None] + 0.3 - delays[rows]
    frame = np.floor((at - 5) / dt)
    part = (at - 5) / dt - frame
    before = 5 + dt * frame + delays[rows]
    between = (1 - part) * np.sin(turn * before) + part * np.sin(turn * (before + dt))
    taps = 2 * int(0.5 / dt + 1e-6) + 1
    want = gain(frequency, dt, taps) * between
    np.testing.assert_allclose(got.values, want, atol=1e-6)
    bend = (turn * dt) ** 2 / 8  # how far a line between two frames can lie from the sine
    true = gain(frequency, dt, taps) * np.sin(turn * (at + delays[rows]))
    np.testing.assert_allclose(got.values, true, atol=bend + 1e-6)


def gain(frequency, dt, taps):
    """Sum of the window's taps times the cosine at each."""
    steps = np.arange(taps) - taps // 2
    window = 0.54 + 0.46 * np.cos(2 * np.pi * steps / (taps - 1))
    return (window * np.cos(2 * np.pi * frequency * dt * steps)).sum() / window.sum()


def test_a_ramp_is_read_at_every_units_own_delay_through_the_whole_step(make_recording):
    r = make_recording()
    delays = np.array([0.0, 99.9, 20.0, 40.0, 33.3, 250.0]) / 1000  # one later than two frames
    r = replace(r, units=r.units.with_columns(ms_delay=pl.Series(1000 * delays)))
    clock = r.activity.frame_times
    ramp = (2 * (clock - 40) + np.arange(6)[:, None]).astype(np.float32)
    got = respond(replace(r, activity=replace(r.activity, values=ramp)), NONE, ResponseWindow())
    rows = soma_rows(r.units)
    used = got.status.filter(status="")["onset_s"].to_numpy()
    want = 2 * (used[:, None] + 0.3 - delays[rows] - 40) + rows
    np.testing.assert_allclose(got.values, want, atol=1e-5)


def test_frames_that_come_late_keep_their_own_times(make_recording):
    """A clock that jumps: the line between the frames on both sides is as long as the hole."""
    r = make_recording()
    clock = r.activity.frame_times.copy()
    clock[350:] += 3.3
    ramp = np.tile((2 * (clock - 40)).astype(np.float32), (6, 1))
    trials = r.trials.with_columns(pl.col("clear_flip", "onset_flip", "offset_flip") + 0.0)
    jumped = replace(r, activity=Traces(ramp, clock, 1000 + clock), trials=trials)
    got = respond(jumped, NONE, ResponseWindow(filter="none"))
    delays = r.units["ms_delay"].to_numpy()[soma_rows(r.units)] / 1000
    used = got.status.filter(status="")["onset_s"].to_numpy()
    np.testing.assert_allclose(got.values, 2 * (used[:, None] + 0.3 - delays - 40), atol=1e-5)


def test_somata_among_other_masks_are_read_in_blocks_that_hold_one(monkeypatch):
    read = []

    class Rows:
        shape, dtype = (40, 60), np.dtype(np.float32)

        def __getitem__(self, rows):
            read.append(rows)
            return np.arange(40, dtype=np.float32)[rows, None] + np.zeros(60, np.float32)

    monkeypatch.setattr(trace_reading, "BLOCK_BYTES", 5000)
    wanted = np.array([0, 3, 21, 22, 39])
    blocks = list(trace_blocks(Rows(), wanted, 60, 1000))
    assert read == [slice(0, 5), slice(20, 25), slice(35, 40)]
    assert np.concatenate([block.traces[:, 0] for block in blocks]).tolist() == wanted.tolist()
    assert [block.units for block in blocks] == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_beside_the_responses_only_a_few_units_are_held(make_recording, monkeypatch):
    """Traces ten times as large as the responses pass through; 2.5 times the responses is the bound."""
    r = make_recording()
    units, frames = 4000, 700

    class Rows:
        shape, dtype = (units, frames), np.dtype(np.float32)

        def __getitem__(self, rows):
            count = len(range(*rows.indices(units)))
            return np.random.default_rng(rows.start).random((count, frames), dtype=np.float32)

    many = pl.concat([r.units.head(1)] * units).with_columns(
        unit_id=pl.Series(np.random.default_rng(0).permutation(units)), ms_delay=pl.lit(5.0)
    )
    r = replace(r, units=many, activity=replace(r.activity, values=Rows()))
    monkeypatch.setattr(trace_reading, "BLOCK_BYTES", 2**18)
    respond(r, NONE, ResponseWindow())  # what is imported and cached once does not count
    tracemalloc.start()
    values = respond(r, NONE, ResponseWindow()).values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * values.nbytes


@pytest.mark.parametrize(("width", "half"), [("hamming", 5), ("none", 0)])
def test_trials_that_need_frames_on_both_sides_of_a_hole_of_the_clock_are_lost(make_recording, width, half):
    """Frames are 0.1 s apart, delays 0 to 80 ms; 2 s of frames are missing after the one at 40 s."""
    r = make_recording()
    keep = np.r_[0:351, 371:700]
    clock = r.activity.frame_times[keep]
    assert (clock[350], clock[351]) == pytest.approx((40.0, 42.1))
    holed = replace(r, activity=Traces(r.activity.values[:, keep], clock, 1000 + clock))
    got = respond(holed, NONE, ResponseWindow(filter=width))
    whole = respond(r, NONE, ResponseWindow(filter=width))
    at = r.trials["onset_flip"].to_numpy() + 0.3
    begin, end = 40.0 - 0.1 * half, 42.1 + 0.1 * half + 0.08  # the latest unit's frame comes 80 ms later
    lost = (at > begin + 1e-9) & (at < end - 1e-9)
    assert lost.sum() == (2 if half == 0 else 3)
    assert (got.status["status"] == module.NO_FRAMES).to_list() == lost.tolist()
    np.testing.assert_allclose(got.values, whole.values[~lost], rtol=1e-6)


def test_a_hole_of_two_frames_is_no_hole(make_recording):
    r = make_recording()
    keep = np.r_[0:351, 353:700]
    clock = r.activity.frame_times[keep]
    got = respond(
        replace(r, activity=Traces(r.activity.values[:, keep], clock, 1000 + clock)), NONE, ResponseWindow()
    )
    assert (got.status["status"] == "").all()


def test_trials_without_frames_are_counted(make_recording, store, save):
    r = make_recording()
    keep = np.r_[0:351, 371:700]
    clock = r.activity.frame_times[keep]
    ref = save(replace(r, activity=Traces(r.activity.values[:, keep], clock, 1000 + 1.0001 * clock)))
    scan = r.scan
    excluded = make_excluded_trial(store, ScanConfig(scan=scan), recording=ref).ref
    made = make_input_response(store, InputResponseConfig(scan=scan), recording=ref, excluded_trial=excluded)
    assert store.manifest(made.ref).findings["lost"] == {"excluded": 1, module.NO_FRAMES: 3}


def with_nans(recording, units, frames):
    values = recording.activity.values.copy()
    values[units, frames] = np.nan
    return replace(recording, activity=replace(recording.activity, values=values))


@pytest.mark.parametrize("block", [1, 10**9])
def test_frames_lost_in_all_units_cost_the_same_trials_as_frames_that_are_not_there(
    make_recording, monkeypatch, block
):
    monkeypatch.setattr(trace_reading, "BLOCK_BYTES", block)
    r, keep = make_recording(), np.r_[0:351, 371:700]
    clock = r.activity.frame_times[keep]
    holed = replace(r, activity=Traces(r.activity.values[:, keep], clock, 1000 + clock))
    want = respond(holed, NONE, ResponseWindow())
    got = respond(with_nans(r, slice(None), slice(351, 371)), NONE, ResponseWindow())
    assert (got.status["status"] == module.NO_FRAMES).sum() == 3
    assert got.status.equals(want.status)
    np.testing.assert_allclose(got.values, want.values, rtol=1e-6)
    assert got.filled == 20 * 5
    assert got.gaps == {"longest_filled_s": pytest.approx(2.0), "units_filled_over_tenth": 0}


def test_short_runs_and_runs_of_some_units_are_interpolated_as_ever(make_recording):
    r = make_recording()
    short = with_nans(r, slice(None), slice(351, 356))  # 0.5 s, the window's length
    assert (respond(short, NONE, ResponseWindow()).status["status"] == "").all()
    longer = with_nans(r, slice(None), slice(351, 357))
    assert (respond(longer, NONE, ResponseWindow()).status["status"] == module.NO_FRAMES).any()
    patient = respond(longer, NONE, ResponseWindow(), lost=LostData(longest_gap=0.6))
    assert (patient.status["status"] == "").all()
    some = respond(with_nans(r, slice(0, 5), slice(351, 451)), NONE, ResponseWindow())
    assert (some.status["status"] == "").all()
    assert some.gaps == {"longest_filled_s": pytest.approx(10.0), "units_filled_over_tenth": 4}
    assert respond(r, NONE, ResponseWindow()).gaps == {}


@pytest.mark.parametrize(("n", "share"), [(351, "50.1%"), (699, "99.9%")])
def test_a_unit_that_is_mostly_lost_is_refused_by_name(make_recording, n, share):
    r = make_recording()
    with pytest.raises(RecordingError, match=f"{share} of the samples of unit 3 are NaN"):
        respond(with_nans(r, 1, slice(0, n)), NONE, ResponseWindow())
    half = respond(with_nans(r, 1, slice(0, 350)), NONE, ResponseWindow())
    assert np.isfinite(half.values).all()
    respond(with_nans(r, 1, slice(0, n)), NONE, ResponseWindow(), lost=LostData(most_filled=n / 700))

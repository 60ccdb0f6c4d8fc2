"""Gaps show, clocks agree, and a closer look is one."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.quality.signals import (
    BINS,
    ONSET,
    PUPIL,
    RUNNING,
    Signal,
    behavior_signals,
    close_look,
    length,
    missing_time,
    overview,
    population_signal,
    trial_positions,
)
from inception_loop.recordings.recording import TrialEye, TrialTreadmill


def test_no_time_is_missing_of_a_steady_clock_and_that_of_a_gap_is() -> None:
    steady = np.arange(1000) * 0.1
    assert missing_time(steady) == 0
    gap = np.concatenate([steady, steady + 200.0])  # 100.1 s without frames but for one interval
    assert missing_time(gap) == pytest.approx(100.0 / 300.0)
    assert missing_time(np.array([1.0])) == 0


def test_lost_values_and_gaps_of_the_clock_both_show() -> None:
    time = np.arange(6000) * 0.1
    value = np.sin(time)
    value[1000:2000] = np.nan
    keep = (time < 300) | (time >= 400)
    table = overview(Signal(time[keep], value[keep]), 600.0)
    assert table.height == BINS
    lost = table.filter(pl.col("lost") > 0.5)["position"].to_numpy()
    expected = ((lost > 100) & (lost < 200)) | ((lost > 300) & (lost < 400))
    assert expected.all()
    assert lost.size == BINS / 3
    assert table.filter(pl.col("lost") < 0.5)["lost"].sum() == 0
    assert table["mean"].null_count() == lost.size


def test_bins_hold_the_smallest_mean_and_largest_of_their_samples() -> None:
    signal = Signal(np.arange(1200.0), np.arange(1200.0))
    table = overview(signal, 1200.0)
    assert table.row(0) == (2.0, 0.0, 1.5, 3.0, 0.0)
    assert table.row(-1) == (1198.0, 1196.0, 1197.5, 1199.0, 0.0)


@pytest.mark.parametrize("n", [0, 1, 3, 50])
def test_short_and_empty_signals_have_an_overview_too(n) -> None:
    table = overview(Signal(np.arange(float(n)), np.ones(n)), float(max(n, 1)))
    assert table.height >= 1
    assert (table["lost"] >= 0).all()


def test_behaviour_is_brought_to_the_clock_of_the_frames(member) -> None:
    running, pupil = (behavior_signals(member.recording)[name] for name in (RUNNING, PUPIL))
    assert running.position[0] == pytest.approx(0, abs=0.06)  # the behaviour clock runs twice as fast
    assert running.position[-1] == pytest.approx(129.9, abs=0.06)
    assert running.interval == pytest.approx(0.05)
    assert length(member.recording) == pytest.approx(129.9)
    lost = pupil.position[np.isnan(pupil.value)]
    assert lost.max() == pytest.approx((100 * 0.1 - 4) / 2, abs=0.06)


def test_trials_lie_where_their_onsets_are(member) -> None:
    at = trial_positions(member.recording)
    assert np.isnan(at[7])
    np.testing.assert_allclose(np.delete(at, 7), np.delete(1 + np.arange(120.0), 7))


def test_values_read_per_trial_lie_at_the_trials(member) -> None:
    n = 120
    eye = TrialEye(*(np.full(n, float(i)) for i in range(4)))
    recording = replace(member.recording, eye=eye, treadmill=TrialTreadmill(np.arange(float(n))))
    signals = behavior_signals(recording)
    assert signals[RUNNING].position.size == n - 1
    assert signals[RUNNING].value[7] == 8  # the trial without an onset has no place
    assert signals[RUNNING].position[7] == pytest.approx(9)


def test_the_population_counts_units_alike_and_knows_what_is_lost(member) -> None:
    rows = np.arange(4)
    signal = population_signal(member.recording, rows)
    assert np.isnan(signal.value[:13]).all()
    traces = member.recording.activity.values[:, 13:].astype(np.float64)
    np.testing.assert_allclose(signal.value[13:], (traces / traces.std(1, keepdims=True)).mean(0))


def test_of_many_units_64_are_read(member) -> None:
    read = []

    class Counting:
        shape, dtype = (1000, 1300), np.dtype(np.float32)

        def __getitem__(self, rows):
            read.append(rows.start)
            assert rows.stop == rows.start + 1
            return np.random.default_rng(rows.start).random((1, 1300), np.float32)

    class Huge:
        activity = replace(member.recording.activity, values=Counting())

    population_signal(Huge(), np.arange(1000))
    assert len(read) == 64
    assert (read[0], read[-1]) == (0, 999)


def test_a_closer_look_is_half_a_minute_from_the_middle() -> None:
    onsets = np.arange(10.0, 200.0)
    slow = Signal(np.arange(0, 210, 0.1), np.arange(0, 210, 0.1))
    fast = Signal(np.arange(0, 210, 0.001), np.zeros(210_000))
    table = close_look({"a": slow, "b": fast}, onsets, seconds=True)
    at = table.filter(channel="a")["position"]
    assert (at.min(), at.max()) == (pytest.approx(104.0), pytest.approx(133.9))
    assert table.filter(channel=ONSET).height == 30
    assert table.filter(channel="b").height <= 600
    assert table.filter(channel=ONSET)["value"].null_count() == 30


def test_without_onsets_there_is_no_closer_look() -> None:
    assert close_look({}, np.array([np.nan]), seconds=True).height == 0

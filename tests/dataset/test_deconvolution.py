"""Known events, seen through an indicator that decays: what comes back."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.identity import canonical_json
from inception_loop.dataset import trace_reading
from inception_loop.dataset.config import AreaRules, DatasetConfig, RawFluorescence, ResponseWindow
from inception_loop.dataset.deconvolution import Deconvolution
from inception_loop.dataset.input_response import InputResponseConfig
from inception_loop.dataset.leakage import typical
from inception_loop.dataset.responses import respond
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import ConfigurationError, RecordingError
from inception_loop.recordings.recording import ScanKey, Traces

OASIS = RawFluorescence(policy="oasis")
NONE = pl.DataFrame(schema={"trial_idx": pl.Int64, "reason": pl.String})
DT = 0.1


def events(units, frames, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(0.1 * rng.gamma(1.0, 1.0, (units, frames))).astype(np.float64)


def fluorescence(spikes, tau, noise=0.2, baseline=-0.3, seed=1):
    """Each event decays with time constant ``tau``."""
    decay = np.exp(-DT / tau)
    traces = spikes.copy()
    for frame in range(1, spikes.shape[1]):
        traces[:, frame] += decay * traces[:, frame - 1]
    return (traces + baseline + noise * np.random.default_rng(seed).normal(size=spikes.shape)).astype(
        np.float32
    )


def raw_recording(make_recording, tau=0.7):
    """200 trials 0.9 s apart; every trial's own image drives the units in its window, nothing else does."""
    r = make_recording(n_images=200)
    n, frames = 200, 2000
    clock = 5 + DT * np.arange(frames)
    onset = 7 + 0.9 * np.arange(n)
    rng = np.random.default_rng(3)
    rate = np.full((r.units.height, frames), 0.02)
    for trial in onset:
        during = (clock >= trial + 0.05) & (clock < trial + 0.55)
        rate[:, during] += rng.gamma(0.5, 0.8, (r.units.height, 1))
    traces = fluorescence(rng.poisson(rate).astype(np.float64), tau)
    shown = ["c000"] * 20 + [f"c{i + 1:03d}" for i in range(n - 20)]
    trials = {"trial_idx": np.arange(n), "condition_hash": rng.permutation(shown)}
    flips = {"clear_flip": onset - 0.2, "onset_flip": onset, "offset_flip": onset + 0.5}
    return replace(
        r,
        trace_kind="dff",
        activity=Traces(traces, clock, 1000 + clock),
        trials=pl.DataFrame({**trials, **flips}),
        units=r.units.with_columns(ms_delay=pl.lit(0.0), mask_type=pl.lit("soma")),
        excluded_trials=NONE,
        eye=None,
        treadmill=None,
    )


@pytest.mark.parametrize("tau", [0.4, 0.7, 1.0])
@pytest.mark.parametrize("given", [True, False])
def test_known_events_come_back(tau, given):
    spikes = events(4, 6000)
    deconvolve = Deconvolution(OASIS.model_copy(update={"tau": tau if given else None}), DT)
    found = deconvolve(fluorescence(spikes, tau), np.arange(4))
    assert (found >= 0).all()
    for truth, got in zip(spikes, found, strict=True):
        assert np.corrcoef(truth, got)[0, 1] > 0.8
    findings = deconvolve.findings
    assert findings["n_units"] == 4
    assert findings["tau_s_median"] == pytest.approx(tau, rel=1e-9 if given else 0.2)


def test_raw_traces_leak_and_deconvolved_ones_do_not(make_recording):
    r = raw_recording(make_recording)
    got = respond(r, NONE, ResponseWindow(), OASIS)
    found = got.deconvolution
    assert 0.36 <= found["lag1_leakage_before"] <= 0.66
    assert abs(found["lag1_leakage_after"]) < 0.1
    assert found["lag1_leakage_after"] == typical(got.lag1)
    assert found["n_units"] == r.units.height


def test_units_do_not_depend_on_who_shares_their_block(make_recording, monkeypatch):
    r = raw_recording(make_recording)
    whole = respond(r, NONE, ResponseWindow(), OASIS)
    monkeypatch.setattr(trace_reading, "BLOCK_BYTES", 1)
    alone = respond(r, NONE, ResponseWindow(), OASIS)
    assert alone.values.tobytes() == whole.values.tobytes()
    assert alone.deconvolution == whole.deconvolution


def test_lost_frames_are_interpolated_first(make_recording):
    r = raw_recording(make_recording)
    traces = r.activity.values.copy()
    traces[2, 500:503] = np.nan
    traces[3, 0] = np.nan
    got = respond(replace(r, activity=replace(r.activity, values=traces)), NONE, ResponseWindow(), OASIS)
    assert got.filled == 4
    assert np.isfinite(got.values).all()


def test_a_unit_that_never_changes_has_no_activity():
    deconvolve = Deconvolution(OASIS, DT)
    traces = fluorescence(events(2, 3000), 0.5)
    traces[0] = 1.5
    found = deconvolve(traces, np.arange(2))
    assert not found[0].any()
    assert found[1].any()
    assert deconvolve.findings["n_without_activity"] == 1


def test_raw_traces_are_refused_unless_a_policy_takes_them(make_recording):
    r = raw_recording(make_recording)
    with pytest.raises(
        RecordingError, match=r"scan 17-1-2: traces are 'dff'.*raw_fluorescence.policy to 'oasis'"
    ):
        respond(r, NONE, ResponseWindow())


def test_deconvolved_traces_are_left_alone_whatever_the_policy(make_recording):
    r = make_recording()
    plain, asked = (respond(r, NONE, ResponseWindow(), raw) for raw in (None, OASIS))
    assert asked.values.tobytes() == plain.values.tobytes()
    assert asked.deconvolution == {}


def test_without_the_library_one_line_says_how_to_get_it(make_recording, monkeypatch):
    monkeypatch.setitem(sys.modules, "oasis.functions", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'inception-loop\[deconvolution\]'") as error:
        respond(raw_recording(make_recording), NONE, ResponseWindow(), OASIS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("decay", [0.0, 1.0, np.nan])
def test_a_trace_without_a_decay_names_its_unit(monkeypatch, decay):
    found = SimpleNamespace(s=np.zeros(50), g=decay)
    library = SimpleNamespace(deconvolve=lambda trace, **model: found)
    monkeypatch.setitem(sys.modules, "oasis.functions", library)
    with pytest.raises(RecordingError, match=r"unit 77 cannot be deconvolved \(a decay of"):
        Deconvolution(OASIS, DT)(np.eye(1, 50, dtype=np.float32), np.array([77]))


def test_a_failure_of_the_library_names_the_unit(monkeypatch):
    def fail(trace, **model):
        raise np.linalg.LinAlgError("SVD did not converge\nin Linear Least Squares")

    monkeypatch.setitem(sys.modules, "oasis.functions", SimpleNamespace(deconvolve=fail))
    with pytest.raises(RecordingError, match="unit 77 cannot be deconvolved") as error:
        Deconvolution(OASIS, DT)(np.eye(1, 50, dtype=np.float32), np.array([77]))
    assert "\n" not in str(error.value)


def test_the_policy_and_its_effect_are_in_the_findings(make_recording, save, store):
    config = DatasetConfig(
        group_id=3,
        areas=AreaRules(otherwise="V1"),
        missing={"no_eye": "omit", "no_treadmill": "omit"},
        raw_fluorescence=RawFluorescence(policy="oasis", tau=0.7),
    )
    made = make_dataset(store, config, [save(raw_recording(make_recording))])
    findings = store.manifest(made["input_response"][0].ref).findings
    assert findings["trace_kind"] == "dff"
    assert findings["deconvolution"]["policy"] == "oasis"
    assert findings["deconvolution"]["lag1_leakage_before"] > 0.3
    assert findings["lag1_leakage"] == findings["deconvolution"]["lag1_leakage_after"]
    group = store.manifest(made["static_multi_dataset"][0].ref).findings
    applied = {"policy": "oasis", "n_units": 6, "members": ["group003-17-1-2"]}
    assert group["policies"]["raw_fluorescence"] == applied
    assert group["leaking_members"] == []


def test_configurations_that_do_not_ask_for_it_keep_their_digests():
    scan = ScanKey(animal_id=1, session=2, scan_idx=3)
    assert canonical_json(InputResponseConfig(scan=scan)) == (
        '{"scan":{"animal_id":1,"scan_idx":3,"session":2}}'
    )
    assert canonical_json(DatasetConfig(group_id=1)) == '{"group_id":1}'

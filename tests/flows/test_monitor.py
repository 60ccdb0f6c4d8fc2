"""Which calibrations of the monitor a session goes by, and what its images are then brought to."""

import uuid
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from flows._monitor import shown_by
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.scan_tables import EXCLUDED_TRIAL, MONITOR_CALIBRATION, ScanConfig
from inception_loop.images.monitor.shown_target import AsMade, BestKnown, GreyTarget, LuminanceTarget
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.rules import MonitorRules

GREY = np.linspace(0, 255, 40)
SOUND = 0.2 + 23.8 * (GREY / 255) ** 2.1
MARCH = "2019-03-04T09:30"


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}")


@pytest.fixture
def calibration(store):
    """Function that puts readings of a scan's monitor into the store."""

    def make(session=1, timestamp=MARCH, luminance=SOUND, measured=True):
        def build(attempt):
            rows = pl.DataFrame({"pixel_value": GREY, "luminance": luminance})
            attempt.write_table("monitor_calibration", rows.with_columns(timestamp=pl.lit(timestamp)))
            attempt.report(measured=measured)

        scan = ScanKey(animal_id=1, session=session, scan_idx=1)
        return store.make(MONITOR_CALIBRATION, ScanConfig(scan=scan), build).ref

    return make


@pytest.fixture
def by(store):
    """Function that says by what a session of scan 1-1-1 is shown."""

    def build(attempt):
        attempt.write_table(
            "excluded_trial", pl.DataFrame(schema={"trial_idx": pl.Int64, "reason": pl.String})
        )

    scan = ScanConfig(scan=ScanKey(animal_id=1, session=1, scan_idx=1))
    recording = store.make(EXCLUDED_TRIAL, scan, build).ref  # whatever artifact of the scan

    def ask(*given, target=None, **monitor):
        rules = SimpleNamespace(target=target or BestKnown(), monitor=MonitorRules(**monitor))
        return shown_by(SimpleNamespace(calibrations=given, rules=rules, recording=recording), store)

    return ask


def test_with_a_sound_calibration_images_are_alike_in_light(by, calibration):
    found = by(calibration())
    assert (found.target, found.words) == (LuminanceTarget(), "all images are alike in light")
    assert (len(found.calibrations), found.lost) == (1, False)


@pytest.mark.parametrize(
    ("how", "monitor", "why"),
    [
        ({"luminance": np.full(40, 3.0)}, {}, "scan 1-1-1: the luminance changes by 0.000 cd/m² a step"),
        ({"luminance": SOUND[::-1].copy()}, {}, "scan 1-1-1: the luminance changes by -0.610 cd/m² a step"),
        ({"timestamp": ""}, {}, "nobody knows when the calibration of scan 1-1-1 was measured"),
        ({"timestamp": "04-Mar-2019"}, {}, "cannot be read; expected ISO 8601"),
        ({"session": 2}, {}, "when scan 1-1-1 was made is not known"),
        ({}, {"time": "2019-12-24"}, "expected at most 720 h"),
    ],
)
def test_one_that_does_not_count_ends_no_night_and_is_told(by, calibration, how, monitor, why):
    found = by(calibration(**how), **monitor)
    assert found.target == GreyTarget()
    assert (found.calibrations, found.lost) == ((), True)
    assert found.words.startswith("all images are alike in grey levels, not in light (")
    assert why in found.words


def test_beside_a_sound_one_a_useless_one_does_no_harm(by, calibration):
    sound, flat = calibration(), calibration(session=2, luminance=np.full(40, 3.0))
    unreadable = calibration(session=3, timestamp="04-Mar-2019")
    assert by(flat, unreadable, sound).calibrations == (sound,)


@pytest.mark.parametrize("scans", [0, 1])
def test_without_any_images_are_alike_in_grey_levels_and_nothing_is_lost(by, calibration, scans):
    found = by(*(calibration(measured=False) for _ in range(scans)))  # scans that came without one
    assert (found.target, found.lost) == (GreyTarget(), False)
    assert "(no calibration of the monitor is given)" in found.words


def test_what_is_asked_for_is_done(by, calibration):
    flat = calibration(session=3, luminance=np.full(40, 3.0))
    grey, as_made = by(calibration(), flat, target=GreyTarget()), by(target=AsMade())
    assert (grey.target, len(grey.calibrations), grey.lost) == (GreyTarget(), 1, False)
    assert "grey was asked for" in grey.words
    assert as_made.words == "images are shown as they were made"
    light = by(calibration(), flat, target=LuminanceTarget())
    assert len(light.calibrations) == 2  # the step that reads the flat one refuses it

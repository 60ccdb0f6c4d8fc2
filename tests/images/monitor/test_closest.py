"""A scan gets the calibration of its own rig that is nearest in time, as a slow search finds it."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inception_loop.dataset.scan_tables import MONITOR_CALIBRATION, ScanConfig
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.monitor.calibration import (
    ProcessedMonitorCalibrationConfig,
    make_processed_monitor_calibration,
)
from inception_loop.images.monitor.closest import (
    ClosestCalibrationConfig,
    closest_calibrations,
    load_closest_monitor,
    make_closest_calibration,
)
from inception_loop.recordings.recording import ScanKey

START = datetime(2019, 3, 4, 9, 30)
ZONES = ["", "+00:00", "+05:30", "-08:00"]


def stamp(quarters, zone):
    return (START + timedelta(minutes=15 * quarters)).isoformat() + zone


def rows(times, rigs, name, session=0):
    return pl.DataFrame(
        {
            "animal_id": [1] * len(times),
            "session": [session + k for k in range(len(times))],
            "scan_idx": [1] * len(times),
            "rig": rigs,
            name: times,
        },
        schema_overrides={name: pl.String, "rig": pl.String},
    )


def slow(scan, calibrations, zone):
    """Position and hours of the best calibration of one scan, by comparing them all."""

    def read(text):
        time = datetime.fromisoformat(text)
        return time if time.tzinfo else time.replace(tzinfo=ZoneInfo(zone))

    best = None
    for position, row in enumerate(calibrations.rows(named=True)):
        if row["rig"] == scan["rig"] and row["timestamp"]:
            hours = (read(row["timestamp"]) - read(scan["time"])).total_seconds() / 3600
            candidate = (abs(hours), hours, row["session"], position)
            best = candidate if best is None else min(best, candidate)
    return best and (best[3], best[1])


moments = st.builds(stamp, st.integers(-8, 8), st.sampled_from(ZONES))


@settings(max_examples=12)
@given(
    st.lists(st.tuples(moments, st.sampled_from("ab")), min_size=1, max_size=4),
    st.lists(st.tuples(st.none() | st.just("") | moments, st.sampled_from("abc")), max_size=6),
    st.sampled_from(["UTC", "Europe/Berlin"]),
)
def test_every_scan_gets_what_a_slow_search_finds(scans, calibrations, zone):
    asked = rows([t for t, _ in scans], [r for _, r in scans], "time", session=10)
    known = rows([t for t, _ in calibrations], [r for _, r in calibrations], "timestamp")
    found = closest_calibrations(asked, known, timezone=zone)
    got = dict(zip(found["session"], zip(found["position"], found["delta_time"], strict=True), strict=True))
    for scan in asked.rows(named=True):
        wanted = slow(scan, known, zone)
        assert got.get(scan["session"]) == (wanted and (wanted[0], pytest.approx(wanted[1])))


def test_of_two_as_near_the_earlier_one_is_taken():
    asked = rows(["2019-03-04T12:00"], ["a"], "time")
    known = rows(["2019-03-04T13:00", "2019-03-04T11:00", "2019-03-04T11:00"], ["a"] * 3, "timestamp")
    found = closest_calibrations(asked, known)
    assert found["position"].to_list() == [1]
    assert found["delta_time"].to_list() == [-1.0]
    assert found["n_calibrations"].to_list() == [3]


def test_clocks_that_change_between_scan_and_calibration_are_heeded():
    asked = rows(["2019-03-30T12:00"], ["a"], "time")
    known = rows(["2019-03-31T12:00"], ["a"], "timestamp")  # summer time began in between
    assert closest_calibrations(asked, known, timezone="Europe/Berlin")["delta_time"][0] == 23
    assert closest_calibrations(asked, known)["delta_time"][0] == 24


def test_a_time_or_zone_that_cannot_be_read_is_refused():
    with pytest.raises(DataError, match=r"'4\.3\.2019' cannot be read; expected ISO 8601"):
        closest_calibrations(rows(["4.3.2019"], ["a"], "time"), rows([], [], "timestamp"))
    scan = ScanKey(animal_id=1, session=1, scan_idx=1)
    with pytest.raises(ValidationError, match="noon"):
        ClosestCalibrationConfig(scan=scan, time="noon")
    with pytest.raises(ValidationError, match="Mars"):
        ClosestCalibrationConfig(scan=scan, timezone="Mars/Olympus")


class TestArtifact:
    @pytest.fixture
    def make(self, store):
        def calibrated(session, gamma, timestamp, rig="a"):
            scan = ScanKey(animal_id=1, session=session, scan_idx=1)
            grey = np.linspace(0, 255, 20)
            light = 0.2 + 20 * (grey / 255) ** gamma
            table = pl.DataFrame({"pixel_value": grey, "luminance": light, "timestamp": timestamp})
            raw = store.make(
                MONITOR_CALIBRATION,
                ScanConfig(scan=scan),
                lambda attempt: attempt.write_table("monitor_calibration", table),
            )
            config = ProcessedMonitorCalibrationConfig(scan=scan, rig=rig)
            return make_processed_monitor_calibration(store, config, calibration=raw.ref).ref

        return [
            calibrated(1, 1.8, "2019-03-01T12:00:00"),
            calibrated(2, 2.0, "2019-03-04T12:00:00"),
            calibrated(3, 2.2, "2019-03-04T12:00:00", rig="b"),
            calibrated(4, 2.4, ""),
        ]

    def config(self, **fields):
        return ClosestCalibrationConfig(scan=ScanKey(animal_id=1, session=2, scan_idx=1), rig="a", **fields)

    def test_the_choice_leads_to_the_monitor(self, store, make):
        made = make_closest_calibration(store, self.config(time="2019-03-05T12:00:00"), calibrations=make)
        row = store.table(made.ref, "closest_calibration").row(0, named=True)
        inputs = store.inputs(made.ref)["calibration"]
        assert (inputs[row["position"]], row["delta_time"], row["n_calibrations"]) == (make[1], -24.0, 2)
        other = make_closest_calibration(
            store, self.config(time="2019-03-05T12:00:00"), calibrations=make[::-1]
        )
        assert other.ref == made.ref
        assert row["scan_time"] == "2019-03-05T12:00:00+00:00"
        monitor = load_closest_monitor(store, made.ref)
        assert (monitor.levels == load_closest_monitor(store, make[1]).levels).all()
        own = make_closest_calibration(store, self.config(), calibrations=make)
        assert store.table(own.ref, "closest_calibration")["delta_time"][0] == 0

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"time": "2019-02-20T12:00", "max_hours": 48},
                r"216\.0 h after it, at 2019-03-01.*at most 48 h",
            ),
            ({"time": "2019-03-06T12:00", "max_hours": 12}, r"48\.0 h before it"),
            ({"time": "2019-03-06T12:00", "rig": "c"}, "no calibration of its rig 'c' .*are of 'a', 'b'"),
        ],
    )
    def test_what_is_too_far_or_of_another_rig_is_refused(self, store, make, fields, message):
        config = self.config().model_copy(update=fields)
        with pytest.raises(DataError, match=message):
            make_closest_calibration(store, config, calibrations=make)

    def test_a_scan_without_a_time_and_a_choice_of_nothing_are_refused(self, store, make):
        config = ClosestCalibrationConfig(scan=ScanKey(animal_id=1, session=4, scan_idx=1), rig="a")
        with pytest.raises(DataError, match="when scan 1-4-1 was made is not known"):
            make_closest_calibration(store, config, calibrations=make)
        with pytest.raises(ConfigurationError, match="no calibration to choose from"):
            make_closest_calibration(store, config, calibrations=[])

    def test_other_artifacts_are_no_monitor(self, store, models):
        with pytest.raises(ConfigurationError, match="no calibration of a monitor"):
            load_closest_monitor(store, models[0])

"""A monitor as measured becomes a curve that serves images, whatever the monitor and the noise."""

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtri

from inception_loop.animals.rig import RigConfig, calibrate
from inception_loop.dataset.scan_tables import MONITOR_CALIBRATION, ScanConfig
from inception_loop.errors import DataError
from inception_loop.images.monitor.calibration import (
    ProcessedMonitorCalibrationConfig,
    load_monitor,
    make_processed_monitor_calibration,
    process_calibration,
)
from inception_loop.recordings.recording import ScanKey

GREY = np.linspace(0, 255, 80)
SCAN = ScanKey(animal_id=1, session=2, scan_idx=3)
NORMAL = ndtri((np.arange(500) + 0.5) / 500)  # a picture's pixels


def power(grey):
    return 0.15 + 23.85 * (grey / 255) ** 2.1


def bent(grey):
    return 0.15 + 23.85 * (grey / 255) ** 2.2 * (1 + 0.08 * np.sin(2 * np.pi * grey / 255))


def crushed(grey):
    return 0.15 + 24 * np.clip((grey - 30) / 225, 0, None) ** 2


def worst(truth, curve, seeds=3):
    """RMS over seeds of the relative error of mean and contrast that a 10 ± 2 cd/m² picture really has."""
    errors = []
    for seed in range(seeds):
        light = truth(GREY) * (1 + np.random.default_rng(seed).normal(0, 0.01, 80))
        monitor = process_calibration(GREY, light, curve=curve, max_misfit=1.0).monitor
        shown = truth(monitor.to_grey(10 + 2 * NORMAL))
        errors.append([shown.mean() / 10 - 1, shown.std() / 2 - 1])
    return np.sqrt(np.square(errors).mean(0))


def test_the_smoothed_curve_is_as_good_as_the_law_where_it_holds_and_as_the_readings_where_not():
    assert (worst(power, "smoothed") < [0.004, 0.006]).all()
    assert worst(power, "measured")[1] > 2 * worst(power, "smoothed")[1]
    assert (worst(bent, "smoothed") < [0.005, 0.012]).all()
    assert worst(bent, "fit")[1] > 4 * worst(bent, "smoothed")[1]


@pytest.mark.parametrize("curve", ["smoothed", "measured", "fit"])
@pytest.mark.parametrize("truth", [power, bent, crushed])
def test_every_curve_is_read_both_ways(curve, truth):
    light = truth(GREY) * (1 + np.random.default_rng(1).normal(0, 0.01, 80))
    monitor = process_calibration(GREY, light, curve=curve, max_misfit=1.0).monitor
    grey = np.linspace(0, 255, 1001)
    assert np.abs(monitor.to_grey(monitor.to_luminance(grey)) - grey).max() < 1e-6
    assert (np.diff(monitor.levels) > 0).all()
    assert monitor.black == pytest.approx(truth(0.0), abs=0.3)
    assert monitor.white == pytest.approx(truth(255.0), rel=0.05)


def test_measured_points_that_rise_are_kept_and_others_become_one():
    light = power(GREY)
    assert np.allclose(process_calibration(GREY, light, curve="measured").monitor.luminance, light)
    light[41] = light[40] - 0.05
    found = process_calibration(GREY, light, curve="measured").monitor
    assert found.pixel_value[40] == pytest.approx(GREY[40:42].mean())
    assert found.luminance[40] == pytest.approx(light[40:42].mean())


def test_a_power_law_that_the_monitor_does_not_obey_is_refused():
    with pytest.raises(
        DataError, match=r"up to 3\.\d% of its range off .*expected at most 2\.0%; choose curve"
    ):
        process_calibration(GREY, bent(GREY), curve="fit")
    assert process_calibration(GREY, bent(GREY)).misfit == pytest.approx(0.034, abs=0.002)


class TestArtifact:
    def measured(self, store, rows):
        def build(attempt):
            attempt.write_table("monitor_calibration", rows)

        return store.make(MONITOR_CALIBRATION, ScanConfig(scan=SCAN), build).ref

    def rows(self, light):
        return pl.DataFrame({"pixel_value": GREY, "luminance": light, "timestamp": "2019-03-04T09:30:00"})

    def test_it_says_what_the_monitor_is(self, store):
        rig = calibrate(RigConfig(), 0, np.random.default_rng(0))
        ref = self.measured(store, self.rows(rig.luminance))
        config = ProcessedMonitorCalibrationConfig(scan=SCAN, rig="two-photon 2")
        made = make_processed_monitor_calibration(store, config, calibration=ref)
        row = store.table(made.ref, "processed_monitor_calibration").row(0, named=True)
        assert row["rig"] == "two-photon 2"
        assert (row["animal_id"], row["session"], row["scan_idx"]) == (1, 2, 3)
        assert row["timestamp"] == "2019-03-04T09:30:00"
        assert abs(row["gamma"] - 2.1) < 3 * row["gamma_error"] < 0.1
        assert row["full_drive"] == pytest.approx(row["amplitude"] * 255 ** row["gamma"])
        assert (row["n_points"], row["n_levels"]) == (80, 80)
        monitor = load_monitor(store, made.ref)
        levels = store.table(made.ref, "levels")
        assert (levels["luminance"].to_numpy() == monitor.levels).all()
        assert [monitor.black, monitor.white] == [row["black"], row["white"]]
        again = make_processed_monitor_calibration(store, config, calibration=ref)
        assert again.cached

    def test_a_monitor_that_was_never_measured_is_refused_by_the_name_of_its_scan(self, store):
        ref = self.measured(store, self.rows(GREY).clear())
        with pytest.raises(DataError, match="scan 1-2-3: the monitor was never measured"):
            make_processed_monitor_calibration(
                store, ProcessedMonitorCalibrationConfig(scan=SCAN), calibration=ref
            )

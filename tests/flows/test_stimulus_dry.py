"""A dry run makes what it looks at in memory: what is refused there takes along what needs it."""

import uuid

import polars as pl
import pytest

from flows._stimulus_dry import _Trying
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.scan_tables import MONITOR_CALIBRATION, ScanConfig
from inception_loop.images.monitor.calibration import (
    ProcessedMonitorCalibrationConfig,
    make_processed_monitor_calibration,
)
from inception_loop.images.monitor.closest import ClosestCalibrationConfig, make_closest_calibration
from inception_loop.recordings.recording import ScanKey


@pytest.mark.parametrize(("white", "refused"), [(24.0, 0), (0.2, 2)])
def test_a_step_is_made_in_memory_or_refused_with_those_after_it(white, refused):
    store, scan = open_store(f"memory://{uuid.uuid4().hex}"), ScanKey(animal_id=1, session=1, scan_idx=1)
    grey = [255 * step / 20 for step in range(21)]
    light = [0.2 + (white - 0.2) * (level / 255) ** 2 for level in grey]
    rows = pl.DataFrame({"pixel_value": grey, "luminance": light, "timestamp": "2019-03-04T09:30"})

    def build(attempt):
        attempt.write_table("monitor_calibration", rows)

    measured = store.make(MONITOR_CALIBRATION, ScanConfig(scan=scan), build).ref
    trying = _Trying(store)
    read = ProcessedMonitorCalibrationConfig(scan=scan)
    processed = make_processed_monitor_calibration(trying, read, calibration=measured).ref
    closest = make_closest_calibration(
        trying, ClosestCalibrationConfig(scan=scan), calibrations=[processed]
    ).ref
    assert (trying.exists(closest), len(trying.refused)) == (not refused, refused)
    assert len(set(trying.refused.values())) == refused // 2  # in the words of the step that refuses
    trying.above.drop()
    assert not trying.exists(processed)
    assert [listed.ref for listed in artifacts(store)] == [measured]

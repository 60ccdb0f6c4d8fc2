"""Which calibrations of the monitor the stage that fills a session goes by."""

import uuid
from types import SimpleNamespace

import polars as pl
import pytest

from flows.stimulus import _measured
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.scan_tables import MONITOR_CALIBRATION, ScanConfig
from inception_loop.images.monitor.shown_target import BestKnown, GreyTarget, LuminanceTarget
from inception_loop.recordings.recording import ScanKey


@pytest.mark.parametrize(
    ("target", "sessions"), [(BestKnown(), [2]), (GreyTarget(), [2]), (LuminanceTarget(), [1, 2])]
)
def test_one_without_a_time_hinders_light_alone(target, sessions):
    """Which is nearest cannot be told then: cd/m² are refused later on, grey levels do without it."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
    levels = [0.0, 255.0]

    def make(session, timestamp, measured):
        def build(attempt):
            rows = {"pixel_value": levels, "luminance": levels, "timestamp": timestamp}
            attempt.write_table("monitor_calibration", pl.DataFrame(rows))
            attempt.report(measured=measured)

        scan = ScanKey(animal_id=1, session=session, scan_idx=1)
        return store.make(MONITOR_CALIBRATION, ScanConfig(scan=scan), build).ref

    given = (make(1, "", True), make(2, "2019-03-04", True), make(3, "2019-03-05", False))
    asked = SimpleNamespace(calibrations=given, rules=SimpleNamespace(target=target))
    found = [store.manifest(ref).config["scan"]["session"] for ref in _measured(asked, store)]
    assert found == sessions

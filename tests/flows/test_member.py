"""A session is for the units of one scan, whatever networks were trained on."""

import uuid

import polars as pl

from flows._member import member_shown
from inception_loop.artifacts.store import open_store
from inception_loop.dataset.scan_tables import EXCLUDED_TRIAL, ScanConfig
from inception_loop.recordings.recording import ScanKey


def test_where_several_scans_have_selected_units_the_key_is_that_of_the_recording():
    store = open_store(f"memory://{uuid.uuid4().hex}")

    def build(attempt):
        rows = pl.DataFrame(schema={"trial_idx": pl.Int64, "reason": pl.String})
        attempt.write_table("excluded_trial", rows)

    scan = ScanConfig(scan=ScanKey(animal_id=3, session=2, scan_idx=1))
    recording = store.make(EXCLUDED_TRIAL, scan, build).ref  # whatever artifact of the scan
    both = pl.DataFrame({"name": ["group003-3-1-1", "group003-3-2-1", "group003-3-2-1"]})
    assert member_shown(store, 3, recording, both) == "group003-3-2-1"
    assert member_shown(store, 3, recording, both[1:]) is None

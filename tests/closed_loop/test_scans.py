import pytest

from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.scans import (
    ClosedLoopScanConfig,
    LoopScan,
    closed_loop_scan,
    make_closed_loop_scan,
    stim_type_of,
)
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.recordings.recording import ScanKey


def scan(session, day, source=False, animal=1):
    return LoopScan(
        scan=ScanKey(animal_id=animal, session=session, scan_idx=1),
        day=day,
        mei_source=source,
        stim_type="imagenet" if source else "mei",
    )


def loop(*scans):
    return ClosedLoopScanConfig(loop_group=4, scans=scans)


def test_the_source_stands_first_then_the_days_in_order():
    table = closed_loop_scan(loop(scan(9, 3), scan(8, 1), scan(1, 0, source=True)))
    assert table["session"].to_list() == [1, 8, 9]
    assert table["mei_source"].to_list() == [True, False, False]
    assert table["loop_group"].unique().to_list() == [4]


@pytest.mark.parametrize(
    ("scans", "says"),
    [
        ((scan(1, 0), scan(2, 1)), "0 source scans"),
        ((scan(1, 0, True), scan(2, 1, True)), r"2 source scans \(1-1-1, 1-2-1\)"),
        ((scan(1, 0, True),), "no later scan"),
        ((scan(1, 0, True), scan(2, 1), scan(2, 2)), "lists scan 1-2-1 twice"),
        ((scan(1, 0, True), scan(2, 1, animal=2)), r"animals \[1, 2\]"),
        ((scan(1, 5, True), scan(2, 0)), "scan 1-2-1 is of day 0, its source 1-1-1 of day 5"),
    ],
)
def test_a_loop_that_is_none_is_refused(scans, says):
    with pytest.raises(ConfigurationError, match=says):
        closed_loop_scan(loop(*scans))


def test_the_artifact_holds_the_table():
    store = open_store("memory://closed-loop-scans")
    config = loop(scan(1, 0, True), scan(2, 1))
    first, second = (make_closed_loop_scan(store, config) for _ in range(2))
    assert (first.cached, second.cached) == (False, True)
    assert store.table(first.ref, "closed_loop_scan").equals(closed_loop_scan(config))


def test_what_a_scan_shows_has_the_published_names_of_what_is_in_its_set():
    assert stim_type_of(["blank", "cnn", "linear", "oracle"]) == "mei"
    assert stim_type_of(["masked_natural", "masked_cnn"]) == "natural"
    every = ["natural", "masked_cnn", "gabor", "linear", "cnn", "masked_natural"]
    assert stim_type_of(every) == "mei+gabor+natural+unmaskednatural"
    several = scan(2, 1).model_copy(update={"stim_type": stim_type_of(every)})
    assert LoopScan.model_validate(several.model_dump()) == several
    with pytest.raises(DataError, match="no image made for a unit"):
        stim_type_of(["oracle", "blank"])
    with pytest.raises(ValueError, match="stim_type"):
        LoopScan(scan=several.scan, day=1, stim_type="mei+films")

"""Names of a watched folder: which are recordings, of which scan, which are still being written."""

import pytest

from inception_loop.errors import ConfigurationError
from inception_loop.recordings.arrivals.names import is_unfinished, rules_name, scan_of, scan_pattern

PLAIN = "{animal_id}-{session}-{scan_idx}"


@pytest.mark.parametrize(
    ("pattern", "name", "scan"),
    [
        (PLAIN, "17-1-2", "17-1-2"),
        (PLAIN, "17-1-2.nwb", "17-1-2"),
        (PLAIN, "017-01-2.h5", "17-1-2"),
        (PLAIN, "17-1-2.toml", None),
        (PLAIN, "17-1-2.tar.gz", None),
        (PLAIN, "17-1", None),
        (PLAIN, "a17-1-2.nwb", None),
        (PLAIN, "17-1-²", None),
        ("{session}_{animal_id}_{scan_idx}", "1_17_2.npz", "17-1-2"),
        ("mouse{animal_id}.{session}.{scan_idx}_*", "mouse17.1.2_am (copy).nwb", "17-1-2"),
        ("mouse{animal_id}.{session}.{scan_idx}_*", "mouse17x1x2_am.nwb", None),
    ],
)
def test_a_name_says_its_scan(pattern, name, scan) -> None:
    found = scan_of(name, scan_pattern(pattern))
    assert (found and str(found)) == scan


@pytest.mark.parametrize(
    "pattern", ["", "{animal_id}-{session}", "{animal_id}-{session}-{scan}", PLAIN + "-{session}", "{}-{}-{}"]
)
def test_a_pattern_names_each_number_once(pattern) -> None:
    with pytest.raises(ConfigurationError, match="expected each of animal_id, session, scan_idx once"):
        scan_pattern(pattern)


@pytest.mark.parametrize(
    ("name", "unfinished"),
    [
        (".17-1-2.nwb.Xq2a9F", True),
        ("17-1-2.nwb.part", True),
        ("17-1-2.nwb.TMP", True),
        ("17-1-2.nwb.filepart", True),
        ("17-1-2.nwb~", True),
        (".DS_Store", True),
        ("17-1-2.nwb", False),
        ("temporary", False),
    ],
)
def test_names_of_copying_programs_are_left_alone(name, unfinished) -> None:
    assert is_unfinished(name) is unfinished


def test_the_rules_of_a_recording_lie_beside_it_under_its_name() -> None:
    assert [rules_name(name) for name in ("17-1-2.nwb", "17-1-2", "mouse.17-1-2")] == [
        "17-1-2.toml",
        "17-1-2.toml",
        "mouse.17-1-2.toml",
    ]

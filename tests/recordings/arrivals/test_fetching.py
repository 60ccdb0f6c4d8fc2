"""Files of an arrival: where they lie on a disk, copied from a bucket, and only if nobody writes on them."""

import uuid
from pathlib import Path

import pytest

from inception_loop.artifacts.places import backend_of
from inception_loop.errors import RecordingError, StoreError
from inception_loop.recordings.arrivals import fetching
from inception_loop.recordings.arrivals.fetching import StillChangingError, fetched
from inception_loop.recordings.arrivals.listing import grouped, listing
from inception_loop.recordings.arrivals.names import scan_pattern

PATTERN = scan_pattern("{animal_id}-{session}-{scan_idx}")
FILES = {
    "17-1-1.nwb": b"one",
    "17-1-1.toml": b"format = 'nwb'",
    "17-1-10.nwb": b"another",
    "17-1-2/images.npy": b"images",
    "17-1-2/deeper/units.npy": b"units",
    "notes.txt": b"",
}


def fill(place) -> None:
    for key, data in FILES.items():
        place.replace(key, data)


@pytest.fixture(params=["disk", "memory", "s3"])
def place(request, tmp_path):
    """A watched folder of each kind with files in it."""
    uri = {"disk": tmp_path.as_uri(), "memory": f"memory://{uuid.uuid4().hex}"}.get(request.param)
    if uri is None:
        request.getfixturevalue("minio")
        uri = request.getfixturevalue("s3_uri")
    found = backend_of(uri)
    fill(found)
    return found


def contents(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}


def test_an_arrival_is_read_as_it_lies_there(place) -> None:
    there = listing(place, PATTERN)
    assert set(there.arrivals) == {"17-1-1.nwb", "17-1-10.nwb", "17-1-2"}
    assert there.others == ("notes.txt",)
    with fetched(place, there.arrivals["17-1-1.nwb"], PATTERN) as (path, rules):
        assert contents(path) == {"17-1-1.nwb": b"one"}
        assert rules.read_bytes() == FILES["17-1-1.toml"]
    with fetched(place, there.arrivals["17-1-2"], PATTERN) as (path, rules):
        assert contents(path) == {"images.npy": b"images", "deeper/units.npy": b"units"}
        assert rules is None
    assert path.exists() == (place.local_path("") is not None)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("17-1-1.nwb", "17-1-1.nwb"),
        ("17-1-1.toml", "17-1-1.nwb"),
        ("17-1-2/deeper/units.npy", "17-1-2"),
        ("17-1-2/new.npy", "17-1-2"),
        ("17-1-2.toml", "17-1-2"),
    ],
)
def test_what_has_changed_since_it_was_listed_is_not_read(place, key, name) -> None:
    arrival = listing(place, PATTERN).arrivals[name]
    place.replace(key, b"more than it was before")
    with (
        pytest.raises(StillChangingError, match="changed while it was looked at"),
        fetched(place, arrival, PATTERN),
    ):
        pass


def test_a_change_of_time_alone_is_a_change(tmp_path) -> None:
    place = backend_of(tmp_path.as_uri())
    fill(place)
    before = listing(place, PATTERN).arrivals["17-1-2"].signature
    import os

    os.utime(tmp_path / "17-1-2" / "images.npy", (1, 1))
    assert listing(place, PATTERN).arrivals["17-1-2"].signature != before


@pytest.mark.parametrize("key", ["17-1-2/../../escaped", "17-1-2//escaped", "17-1-2/./escaped"])
def test_no_name_in_a_bucket_leads_out_of_its_folder(place, key, tmp_path, monkeypatch) -> None:
    arrival = listing(place, PATTERN).arrivals["17-1-2"]
    hostile = arrival._replace(files=(arrival.files[0]._replace(key=key),))
    if place.local_path("") is not None:
        return  # a disk has no such names
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(RecordingError, match="leads out of its folder"), fetched(place, hostile, PATTERN):
        pass
    assert list(tmp_path.rglob("*escaped*")) == []


def test_a_link_to_a_folder_is_no_recording(tmp_path) -> None:
    place = backend_of(f"{tmp_path}/watched")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched" / "17-1-2").symlink_to(tmp_path / "elsewhere")
    arrival = listing(place, PATTERN).arrivals["17-1-2"]
    with pytest.raises(RecordingError, match="is a link to a folder"), fetched(place, arrival, PATTERN):
        pass


def test_a_copy_that_does_not_fit_is_not_begun(monkeypatch) -> None:
    place = backend_of(f"memory://{uuid.uuid4().hex}")
    fill(place)
    free = type("Usage", (), {"free": 0})
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: free)
    arrival = listing(place, PATTERN).arrivals["17-1-1.nwb"]
    said = set()
    for free.free in (2, 3):  # told once only if the words stay
        with (
            pytest.raises(StoreError, match="has 17 bytes, more than") as no,
            fetched(place, arrival, PATTERN),
        ):
            pass
        said.add(str(no.value))
    assert len(said) == 1
    assert said.pop().startswith(f"{place.uri}/17-1-1.nwb has")


def test_a_folder_with_a_file_that_is_being_written_is_unfinished() -> None:
    entries = [
        fetching.Entry(key, 1, 0.0) for key in ("17-1-2/a.npy", "17-1-2/b.npy.part", "17-1-3/.DS_Store")
    ]
    found = grouped(entries, {}, PATTERN).arrivals
    assert [one.unfinished for one in found.values()] == ["b.npy.part", ""]

"""Files of strangers: never unpickled, never outside their folder, known by their bytes alone."""

import os
import zipfile

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import RecordingError
from inception_loop.recordings.bounded import npy as load_npy
from inception_loop.recordings.bounded import npz as load_npz
from inception_loop.recordings.bounded import parquet as read_parquet
from inception_loop.recordings.files import check_there, content_digest, files_of, inside


class Bomb:
    """Leaves a trace if anybody ever unpickles it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def one_line(caught) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_digest_knows_bytes_and_names_and_neither_place_nor_time(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "data" / "0.npy").write_bytes(b"one")
        (tmp_path / name / "meta").write_bytes(b"two")
    os.utime(tmp_path / "there" / "meta", (1, 1))
    here, there = (content_digest(tmp_path / name) for name in ("here", "there"))
    assert here == there
    (tmp_path / "there" / "meta").rename(tmp_path / "there" / "meat")
    assert content_digest(tmp_path / "there") != here
    (tmp_path / "here" / "meta").write_bytes(b"2")
    assert content_digest(tmp_path / "here") != here


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert content_digest(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize("what", ["absent", "empty"])
def test_nothing_has_no_digest(tmp_path, what):
    if what == "empty":
        (tmp_path / what).mkdir()
    with pytest.raises(RecordingError, match="expected a recording") as caught:
        content_digest(tmp_path / what)
    one_line(caught)


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_that_leaves_the_folder_is_refused_and_one_that_stays_is_not(tmp_path, link):
    folder, outside = tmp_path / "recording", tmp_path / "secret"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "0.npy").write_bytes(b"0")
    (folder / "again").symlink_to(folder / "data" / "0.npy")
    assert [name for name, _ in files_of(folder)] == ["again", "data/0.npy"]
    outside.mkdir()
    (outside / "key").write_bytes(b"k")
    (folder / "stray").symlink_to(outside / "key" if link == "file" else outside)
    with pytest.raises(RecordingError, match=r"'stray' .* leads out of the folder") as caught:
        content_digest(folder)
    one_line(caught)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "data/../../secret"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(RecordingError, match="leads out of the folder"):
        inside(tmp_path, name)


def test_numbers_and_text_come_back(tmp_path):
    np.save(tmp_path / "a.npy", np.array(["train", "test"]))
    assert load_npy(tmp_path / "a.npy").tolist() == ["train", "test"]
    np.savez_compressed(tmp_path / "b.npz", x=np.arange(3))
    assert load_npz(tmp_path / "b.npz")["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_a_pickle_is_refused_and_never_loaded(tmp_path, form):
    trace, path = tmp_path / "it ran", tmp_path / f"a.{form}"
    array = np.array([Bomb(trace), None], dtype=object)
    np.save(path, array, allow_pickle=True) if form == "npy" else np.savez(path, images=array)
    with pytest.raises(RecordingError, match="pickled Python objects, which are never loaded") as caught:
        (load_npy if form == "npy" else load_npz)(path)
    assert str(path) in one_line(caught)
    assert not trace.exists()


@pytest.mark.parametrize("keep", [0, 5, 40, 200])
@pytest.mark.parametrize("form", ["npy", "npz", "parquet"])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, form, keep):
    path = tmp_path / f"a.{form}"
    if form == "npy":
        np.save(path, np.arange(100.0))
    elif form == "npz":
        np.savez(path, x=np.arange(100.0))
    else:
        pl.DataFrame({"x": np.arange(100.0)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RecordingError) as caught:
        {"npy": load_npy, "npz": load_npz, "parquet": read_parquet}[form](path)
    assert str(path) in one_line(caught)


def test_a_member_that_claims_more_than_any_recording_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(40):
            archive.writestr(f"x{number}.npy", b"0" * 100)
    data = bytearray(path.read_bytes())
    position = 0
    while (position := data.find(b"PK\x01\x02", position)) >= 0:
        data[position + 24 : position + 28] = (2**32 - 2).to_bytes(4, "little")
        position += 4
    path.write_bytes(bytes(data))
    with pytest.raises(RecordingError, match="claims"):
        load_npz(path)


def test_what_is_absent_is_named(tmp_path):
    for read in (load_npy, load_npz, read_parquet):
        with pytest.raises(RecordingError, match="no-such-file"):
            read(tmp_path / "no-such-file")


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "a.npy").symlink_to(tmp_path / "a.npy")
    with pytest.raises(RecordingError, match="leads nowhere"):
        inside(tmp_path, "a.npy")


@pytest.mark.parametrize("header", ["(((", "{'descr': '<f4'", "[" * 2000, "'''", "{'descr': 'f?'}"])
def test_a_header_that_is_none_is_one_line(tmp_path, header):
    path = tmp_path / "two\nlines.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(RecordingError, match="not readable") as caught:
        load_npy(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_header_as_python_2_wrote_it_is_read_without_a_warning(tmp_path):
    header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (2L,), }\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\1\0\0\0\2\0\0\0"
    (tmp_path / "old.npy").write_bytes(content)
    assert load_npy(tmp_path / "old.npy").tolist() == [1, 2]


def test_a_name_that_is_no_text_has_a_digest(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.npy")).write_bytes(b"x")
    assert len(content_digest(tmp_path)) == 64


def test_a_pipe_is_refused_before_anybody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(RecordingError, match="device or pipe"):
        inside(tmp_path, "a.npy")


@pytest.mark.parametrize("there", [content_digest, check_there])
def test_a_pipe_is_neither_a_file_nor_a_folder_and_what_is_absent_is_not_there(tmp_path, there):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordingError, match="pipe is neither a file nor a folder") as caught:
        there(tmp_path / "pipe")
    one_line(caught)
    with pytest.raises(RecordingError, match=r"there is no file or folder .*absent"):
        there(tmp_path / "absent")


def test_what_systems_leave_behind_is_no_part_of_a_folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.npy").write_bytes(b"0")
    before = content_digest(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    clutter = ("data/.DS_Store", "data/._0.npy", "Thumbs.db", "desktop.ini", ".git/HEAD", "__MACOSX/._data")
    for name in clutter:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".outside").symlink_to("/")
    assert [name for name, _ in files_of(tmp_path)] == ["data/0.npy"]
    assert content_digest(tmp_path) == before


def test_a_file_that_a_link_takes_from_a_hidden_folder_counts_and_such_a_folder_is_refused(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "object").write_bytes(b"0")
    (tmp_path / "0.npy").symlink_to(tmp_path / ".git" / "object")
    before = content_digest(tmp_path)
    (tmp_path / ".git" / "object").write_bytes(b"1")
    assert content_digest(tmp_path) != before
    (tmp_path / "data").symlink_to(tmp_path / ".git")
    with pytest.raises(RecordingError, match=r"'data' .* leads to a hidden folder"):
        content_digest(tmp_path)

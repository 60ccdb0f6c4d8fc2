"""An export holds exactly what the stimulus set shows, or it does not exist."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import polars as pl
import pytest
from PIL import Image

from inception_loop.errors import ConfigurationError, DataError, StoreError
from inception_loop.recordings.condition import condition_hash
from inception_loop.stimuli import export_folder
from inception_loop.stimuli.export import check_export, export_session
from inception_loop.stimuli.export_session import session_of
from inception_loop.stimuli.export_source import export_source

RIG_COLUMNS = ["position", "block", "condition_row", "condition_hash", "image_row", "image_file"]


@pytest.fixture(scope="module")
def source(sets, tmp_path_factory):
    """A set of 4 units × 2 images × 2 shifts, 3 oracle images and a blank that a block shows twice."""
    from inception_loop.artifacts.store import open_store

    store = open_store(str(tmp_path_factory.mktemp("set") / "store"))
    ref = sets.make_set(store, blanks=2)
    return export_source(store, ref)


@pytest.fixture(scope="module")
def written(source, tmp_path_factory):
    """An export of it, for reading alone: folder, session and what was returned."""
    folder = tmp_path_factory.mktemp("rig") / "day2"
    session = session_of(source)
    return folder, session, export_session(session, folder)


@pytest.fixture
def few(source):
    """One unit's images alone, for tests that write."""
    return session_of(source, minutes=0.4)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def png_chunks(data: bytes) -> list[bytes]:
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append(data[at + 4 : at + 8])
        at += 12 + length
    return chunks


# --- content -----------------------------------------------------------------------------------------------


def test_every_image_is_byte_for_byte_that_of_the_set_in_every_format(written, source):
    folder, _, _ = written
    with np.load(folder / "images.npz") as bundle, h5py.File(folder / "images.h5") as file:
        np.testing.assert_array_equal(bundle["images"], source.images)
        np.testing.assert_array_equal(file["images"][()], source.images)
        names = bundle["condition_hash"].tolist()
        assert [name.decode() for name in file["condition_hash"][()]] == names
    for row, name in enumerate(names):
        path = folder / "images" / f"{row:05d}_{name}.png"
        with Image.open(path) as image:
            assert image.mode == "L"
            assert np.asarray(image).tobytes() == source.images[row].tobytes()
        assert condition_hash(np.array(Image.open(path)), 0.5) == name


def test_no_png_holds_anything_but_its_grey_levels(written):
    for path in (written[0] / "images").iterdir():
        assert set(png_chunks(path.read_bytes())) == {b"IHDR", b"IDAT", b"IEND"}


def test_without_minutes_the_order_is_that_of_the_set(written, source):
    trials = pl.read_parquet(written[0] / "trials.parquet")
    assert trials.select(source.trials.columns).equals(source.trials)
    assert trials.columns[:6] == RIG_COLUMNS
    hashes = pl.read_parquet(written[0] / "conditions.parquet")["condition_hash"]
    assert hashes.gather(trials["condition_row"]).to_list() == trials["condition_hash"].to_list()


def test_planned_times_alternate_gap_and_image_without_a_hole(written):
    rows = rows_of(written[0] / "trials.csv")
    end = 0.0
    for row in rows:
        assert float(row["onset_s"]) == pytest.approx(end + float(row["gap_s"]), abs=1e-6)
        end = float(row["onset_s"]) + float(row["shown_s"])
    assert end == pytest.approx(60 * written[1].plan.full.minutes)


def test_csv_and_parquet_are_the_same_tables_and_every_trial_names_its_file(written):
    folder = written[0]
    for name in ("trials", "conditions"):
        table = pl.read_parquet(folder / f"{name}.parquet")
        assert pl.read_csv(folder / f"{name}.csv", schema=table.schema).equals(table)
    for row in rows_of(folder / "trials.csv"):
        assert (folder / row["image_file"]).is_file()
        assert row["condition_hash"] in row["image_file"]


def test_the_manifest_says_what_is_shown_and_holds_no_place(written, source, tmp_path):
    folder = written[0]
    text = (folder / "manifest.json").read_text()
    said = json.loads(text)
    assert said["stimulus_set"]["digest"] == source.digest
    assert said["session"]["trials"] == source.trials.height == 3 * (16 + 3 + 2)
    assert said["session"]["images_by_model_type"] == {"blank": 1, "cnn": 8, "linear": 8, "oracle": 3}
    assert (said["session"]["gap_grey_level"], said["session"]["seed"]) == (110, 5)
    assert said["session"]["minutes"] == pytest.approx(63 * 0.9 / 60)
    assert said["session"]["cut"] is False
    for name in (*folder.parts[1:], str(tmp_path), os.uname().nodename):
        if len(name) > 4:
            assert name not in text
            assert name not in (folder / "README.txt").read_text()


def test_the_readme_names_the_timing_and_the_way_back(written):
    said = (written[0] / "README.txt").read_text()
    assert "0.4 s of uniform grey of level 110" in said
    assert "36 × 64 pixels" in said
    assert "--export THIS_FOLDER" in said
    assert max(map(len, said.splitlines())) <= 110


def test_two_exports_of_a_set_have_the_same_bytes(few, tmp_path):
    for name in ("one", "other"):
        export_session(few, tmp_path / name)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) == len(few.rows) + 8
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_formats_that_were_not_asked_for_are_not_written(few, tmp_path):
    export_session(few, tmp_path / "rig", ("npz",))
    assert {path.name for path in (tmp_path / "rig").iterdir()} == {
        *("README.txt", "manifest.json", "images.npz"),
        *(f"{table}.{form}" for table in ("trials", "conditions") for form in ("csv", "parquet")),
    }
    assert "image_file" not in rows_of(tmp_path / "rig" / "trials.csv")[0]
    assert "images.h5" not in (tmp_path / "rig" / "README.txt").read_text()


def test_a_hash_that_a_stranger_wrote_is_no_path(source, tmp_path):
    evil = "../../etc/passwd"
    hashes = source.conditions["condition_hash"].to_list()
    old, hashes[0] = hashes[0], evil
    strange = dataclasses.replace(
        source,
        conditions=source.conditions.with_columns(condition_hash=pl.Series(hashes)),
        trials=source.trials.with_columns(pl.col("condition_hash").replace(old, evil)),
    )
    changed = export_session(session_of(strange), tmp_path / "rig")
    assert all(file.count("/") <= 1 and ".." not in file for file in changed.manifest.files)
    assert pl.read_parquet(tmp_path / "rig" / "conditions.parquet")["condition_hash"][0] == evil


# --- check -------------------------------------------------------------------------------------------------


def test_an_export_is_found_whole_and_each_spoilt_file_is_named(few, tmp_path):
    folder = tmp_path / "rig"
    export_session(few, folder)
    assert check_export(folder).faults == []
    first, second, *_ = sorted((folder / "images").iterdir())
    flipped = bytearray(first.read_bytes())
    flipped[-20] ^= 1
    first.write_bytes(flipped)
    second.unlink()
    with (folder / "trials.csv").open("a") as file:
        file.write("\n")
    (folder / "notes.txt").write_text("x")
    (folder / ".DS_Store").write_text("x")
    found = {fault.file: fault.what for fault in check_export(folder).faults}
    assert set(found) == {f"images/{first.name}", f"images/{second.name}", "trials.csv", "notes.txt"}
    assert found[f"images/{first.name}"].startswith("has other bytes")
    assert found[f"images/{second.name}"] == "is missing"
    assert "bytes; expected" in found["trials.csv"]


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_text("{"), "no manifest of an export"),
        (lambda path: path.write_text("[" * 100_000), "no manifest of an export"),
        (lambda path: path.write_text('{"format": "other/1"}'), "of something else"),
        (lambda path: path.write_text(path.read_text().replace('"seed": 5', '"seed": 6')), "have changed"),
    ],
    ids=["absent", "no JSON", "deep JSON", "of something else", "changed"],
)
def test_a_damaged_manifest_is_one_line(few, tmp_path, spoil, part):
    folder = tmp_path / "rig"
    export_session(few, folder, ("npz",))
    spoil(folder / "manifest.json")
    with pytest.raises(DataError, match=part) as error:
        check_export(folder)
    assert "\n" not in str(error.value)


# --- whole or not at all -----------------------------------------------------------------------------------


def test_the_same_export_again_does_nothing(few, tmp_path):
    folder = tmp_path / "rig"
    assert export_session(few, folder).written
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again = export_session(few, folder)
    assert not again.written
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_an_empty_folder_is_taken_and_parents_are_made(few, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "a/b/rig"):
        assert export_session(few, tmp_path / name, ("npz",)).written
        assert check_export(tmp_path / name).faults == []


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(few, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigurationError, match=r"holds 'thesis.tex'; expected an empty folder"):
        export_session(few, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    export_session(few, tmp_path / "rig", ("npz",))
    with pytest.raises(ConfigurationError, match="holds another export"):
        export_session(few, tmp_path / "rig", ("hdf5",))
    (tmp_path / "rig" / "trials.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"1 files differ .* first trials.csv: is missing"):
        export_session(few, tmp_path / "rig", ("npz",))
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="is a file"):
        export_session(few, tmp_path / "file")


@pytest.mark.parametrize("stage", ["sync", "space", "hdf5"])
def test_a_full_disk_is_one_line_and_leaves_nothing(few, tmp_path, monkeypatch, stage):
    if stage == "sync":
        calls = []

        def fsync(handle):
            calls.append(handle)
            if len(calls) > 4:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr("inception_loop.stimuli.export_files.os.fsync", fsync)
    elif stage == "hdf5":

        def create(*_, **__):
            raise RuntimeError("Can't decrement id ref count (unable to extend file, errno = 28, error)")

        monkeypatch.setattr(h5py.File, "create_dataset", create)
    else:
        usage = type("Usage", (), {"free": 1000})
        monkeypatch.setattr(export_folder.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match=r"No space left|has 0 MB left") as error:
        export_session(few, tmp_path / "rig")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line(few, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="Not a directory; expected a folder to write"):
        export_session(few, tmp_path / "file" / "rig")
    with pytest.raises(ConfigurationError, match="cannot make a folder in /proc"):
        export_session(few, type(tmp_path)("/proc/nowhere/rig"))


def test_a_killed_export_leaves_no_folder_and_the_next_one_tidies_up(few, tmp_path, monkeypatch):
    code = (
        "import os, signal, sys, pathlib\n"
        "from inception_loop.stimuli.export_folder import fresh_folder\n"
        "with fresh_folder(pathlib.Path(sys.argv[1]), 0) as folder:\n"
        "    (folder / 'images.npz').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "rig")], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".rig.writing-")
    export_session(few, tmp_path / "rig", ("npz",))
    assert left.exists()  # it might be about to be held
    (tmp_path / "rig").rename(tmp_path / "first")
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time", lambda now=time.time: now() + 3600)
        export_session(few, tmp_path / "rig", ("npz",))
    assert left.exists()  # whatever this machine's clock says
    long_ago = time.time() - 3600
    os.utime(left, (long_ago, long_ago))
    export_session(few, tmp_path / "other", ("npz",))
    assert left.exists()  # of another name
    (tmp_path / "rig").rename(tmp_path / "moved")
    export_session(few, tmp_path / "rig", ("npz",))
    assert not left.exists()


def test_of_two_exports_at_a_time_neither_removes_the_other_and_one_stands(tmp_path):
    final = tmp_path / "rig"

    def overtaken():
        with export_folder.fresh_folder(final, 0) as first:
            os.utime(first, (0, 0))
            with export_folder.fresh_folder(final, 0) as second:
                (second / "second").write_text("x")
            (first / "first").write_text("x")

    with pytest.raises(ConfigurationError, match="somebody else has put something there"):
        overtaken()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["rig", "rig/second"]

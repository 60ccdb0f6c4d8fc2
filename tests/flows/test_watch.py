"""A watched folder: what is being written is left alone, what is bad put aside, everything else comes in."""

from __future__ import annotations

import errno
import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import numpy as np
import pytest

from flows import _arriving, _one_by_one
from flows import watch as watching
from flows.observing import listening
from flows.telling import runs
from flows.watch import IMPORTED, watch
from inception_loop.artifacts.disk import DiskBackend
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.places import backend_of
from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError, StoreError
from inception_loop.recordings.arrivals.looks import load_looks
from inception_loop.recordings.arrivals.names import scan_of, scan_pattern
from inception_loop.recordings.arrivals.quarantine import Quarantined, quarantined
from inception_loop.recordings.options import ReadOptions
from inception_loop.watch_parameters import ImportRules, WatchParameters

SPIKES = ImportRules(options=ReadOptions(trace_kind="spikes", brain_area="V1", layer="L2/3"))


class Folder:
    """A watched folder beside a store, and what is known of both."""

    def __init__(self, root: Path) -> None:
        self.path, self.store = root / "arrivals", open_store((root / "store").as_uri())
        self.path.mkdir()
        self.told: list[dict[str, str]] = []
        self.shown: list[list[dict[str, object]]] = []
        self.news: list[str] = []
        self.later_s = 0.0

    def look(self, **changes):
        return watch(self.asked(**changes))

    def ends(self, **changes) -> tuple[str, str, list[str]]:
        """Look, and return how the run is called, what it says, and who was told."""
        self.news.clear()
        ended = watch(self.asked(**changes), return_state=True)
        return ended.name, ended.message, self.news

    def asked(self, **changes) -> WatchParameters:
        asked = WatchParameters(folder=str(self.path), settle_s=0.001, read=SPIKES)
        return asked.model_copy(update=changes)

    def fates(self) -> dict[str, str]:
        return {name: one.fate for name, one in load_looks(self.store.backend, self.path.as_uri()).items()}

    def quarantined(self, name: str) -> Quarantined | None:
        return quarantined(self.store.backend, self.path.as_uri(), name)

    def scans(self) -> list[str]:
        return [one.partition for one in artifacts(self.store, "recording")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    found = Folder(tmp_path)
    monkeypatch.setenv("INCEPTION_LOOP_STORE", found.store.uri)
    monkeypatch.setattr(
        watching, "emit_event", lambda event, resource, payload: found.told.append({**resource, **payload})
    )
    table = watching.publish.table

    def shown(key, rows, description="", **more):
        if key == "arrivals":
            found.shown.append(list(rows))
        table(key, rows, description, **more)

    monkeypatch.setattr(watching.publish, "table", shown)
    now = DiskBackend.now
    monkeypatch.setattr(DiskBackend, "now", lambda disk: now(disk) + found.later_s)
    monkeypatch.setattr(runs.notify, "ended", lambda flow, run, state, counted: found.news.append(state.name))
    return found


@pytest.fixture
def by_schedule(monkeypatch) -> None:
    """Looks are those of a schedule."""
    monkeypatch.setattr(_one_by_one, "by_itself", lambda: True)


def write(path: Path, n_units: int = 3) -> Path:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (12, 36, 64), dtype=np.uint8)
    np.savez(path, images=images, responses=rng.random((12, n_units), dtype=np.float32))
    return path


def test_a_file_is_taken_in_once_it_is_whole_and_its_scan_never_replaced(folder, tmp_path) -> None:
    whole = write(tmp_path / "whole.npz").read_bytes()
    path = folder.path / "17-1-2.npz"
    path.write_bytes(whole[:1000])
    (folder.path / ".17-1-3.npz.Xq2a9F").write_bytes(whole)
    (folder.path / "17-1-4.npz.part").write_bytes(whole)
    (folder.path / "notes.txt").touch()
    for size in (1000, len(whole)):  # each look finds more than the one before
        path.write_bytes(whole[:size])
        assert folder.look().refs == {}
        assert folder.fates() == {"17-1-2.npz": "waiting"}
    made = folder.look()
    assert (made.computed, folder.fates()) == (5, {"17-1-2.npz": "imported"})
    assert folder.scans() == ["animal_id=17/session=1/scan_idx=2"]
    ref = made.one("recording")
    assert folder.told == [
        {
            "prefect.resource.id": "inception-loop.scan.17-1-2",
            "prefect.resource.name": "17-1-2",
            "inception-loop.day": "first",
            "inception-loop.animal": "17",
            "recording": f"recording/{ref.digest}",
            "uri": ref.uri,
            "scan": "17-1-2",
            "day": "first",
        }
    ]
    write(path, n_units=4)  # another recording under the name of the scan
    folder.look()
    assert folder.look().refs == {}
    assert folder.fates() == {"17-1-2.npz": "other bytes"}
    assert [one.ref for one in artifacts(folder.store, "recording")] == [ref]
    assert "made from other bytes; nothing was replaced" in folder.shown[-1][0]["why"]
    assert len(folder.told) == 1


def test_a_pattern_that_takes_nothing_is_said_with_a_name_that_it_would_take(folder, monkeypatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(watching, "say", lambda stage, line: said.append(line))
    pattern = "mouse{animal_id}_{session}_{scan_idx}_*"
    for name in ("17-1-2.npz", "17-1-3.npz"):
        (folder.path / name).touch()
    assert folder.look(pattern=pattern).refs == {}
    (line,) = [one for one in said if "passed over" in one]
    assert line.startswith(
        f"⚠ passed over 2, taken 0: no name fits the pattern {pattern!r}; expected one like mouse17_1_2_x.nwb"
    )
    assert scan_of("mouse17_1_2_x.nwb", scan_pattern(pattern)) is not None
    (folder.path / "mouse17_1_2_x.nwb").touch()
    said.clear()
    folder.look(pattern=pattern)
    assert "  passed over: 17-1-2.npz, 17-1-3.npz" in said


def test_a_bad_one_is_put_aside_until_its_bytes_change_and_stops_nobody(folder, monkeypatch) -> None:
    bad, good = folder.path / "17-1-1.npz", write(folder.path / "17-1-2.npz")
    bad.write_bytes(good.read_bytes()[:-500])
    tried = []
    config = _arriving.import_config
    monkeypatch.setattr(
        _arriving, "import_config", lambda path, *rest: (tried.append(path.name), config(path, *rest))[1]
    )
    folder.look(settle_s=0)
    assert folder.fates() == {"17-1-1.npz": "quarantined", "17-1-2.npz": "imported"}
    record = folder.quarantined("17-1-1.npz")
    assert record.path == bad.as_uri()
    assert record.scan == "17-1-1"
    assert len(record.sha256) == 64
    assert record.error.startswith(f"{bad} ")
    assert "\n" not in record.error
    states = {row["recording"]: (row["state"], row["why"]) for row in folder.shown[-1]}
    assert states == {"17-1-1.npz": ("quarantined", record.error), "17-1-2.npz": ("imported", "")}
    os.utime(bad, (1, 1))  # another time, the same bytes
    folder.look(settle_s=0)
    assert (tried, folder.fates()["17-1-1.npz"]) == (["17-1-1.npz", "17-1-2.npz"], "quarantined")
    folder.look(settle_s=0, retry_quarantined=True)
    assert tried == ["17-1-1.npz", "17-1-2.npz", "17-1-1.npz"]
    write(bad, n_units=4)
    folder.look(settle_s=0)
    assert folder.fates() == {"17-1-1.npz": "imported", "17-1-2.npz": "imported"}
    assert folder.quarantined("17-1-1.npz") is None
    assert [one["scan"] for one in folder.told] == ["17-1-2", "17-1-1"]


@pytest.mark.usefixtures("by_schedule")
def test_a_bad_one_is_told_by_the_state_of_the_run_and_the_next_runs_say_that_they_pass_it_over(
    folder, monkeypatch
) -> None:
    good = write(folder.path / "17-1-2.npz")
    for idx in (1, 3):
        (folder.path / f"17-1-{idx}.npz").write_bytes(good.read_bytes()[: -500 * idx])
    name, message, news = folder.ends(settle_s=0)
    assert (name, news) == ("Quarantined", ["Quarantined"])
    why = folder.quarantined("17-1-1.npz").error
    bad = f"17-1-1.npz quarantined: {why} (and 1 more)"
    assert message == f"3 recordings in {folder.path.as_uri()}: 1 imported, 2 quarantined; {bad}"
    assert [row["recording"][5] for row in folder.shown[-1]] == ["1", "3", "2"]  # who has to be seen to first
    name, message, news = folder.ends(settle_s=0)
    assert (name, news) == ("Passed over", [])
    assert message == f"3 recordings in {folder.path.as_uri()}: 1 already there, 2 quarantined; {bad}"
    write(folder.path / "17-1-4.npz", n_units=5)
    assert folder.look(settle_s=0).computed == 5  # whoever calls the flow gets what it has made
    for idx in (1, 3):
        (folder.path / f"17-1-{idx}.npz").unlink()
    assert folder.ends(settle_s=0)[::2] == ("Completed", [])


@pytest.mark.usefixtures("by_schedule")
def test_what_is_put_aside_beside_a_failure_is_told_with_it(folder, monkeypatch) -> None:
    bad = folder.path / "17-1-1.npz"
    write(folder.path / "17-1-2.npz")
    monkeypatch.setattr(
        _arriving, "submit_import", lambda *_: (_ for _ in ()).throw(StoreError("the disk is full"))
    )
    bad.write_bytes((folder.path / "17-1-2.npz").read_bytes()[:-500])
    failed = r"17-1-2\.npz: the disk is full; it is tried again, .* less and less often"
    with pytest.raises(StoreError, match=rf"^{failed}; 17-1-1\.npz quarantined: "):
        folder.look(settle_s=0)
    name, message, news = folder.ends(settle_s=0)
    assert (name, news) == ("Passed over", [])
    assert f"{folder.path}: 17-1-2.npz: the disk is full; it is tried again" in message
    (folder.path / "17-1-3.npz").write_bytes(bad.read_bytes())
    name, message, news = folder.ends(settle_s=0)
    assert (name, news) == ("Quarantined", ["Quarantined"])
    assert "; 17-1-3.npz quarantined: " in message


def test_a_fault_of_the_store_is_not_the_files(folder, monkeypatch) -> None:
    write(folder.path / "17-1-1.npz"), write(folder.path / "17-1-2.npz", n_units=4)
    submit = _arriving.submit_import

    def full(stage, asked):
        if asked.scan.scan_idx == 1:
            raise StoreError("cannot write: the disk is full")
        submit(stage, asked)

    monkeypatch.setattr(_arriving, "submit_import", full)
    with pytest.raises(StoreError, match=r"17-1-1\.npz: cannot write: the disk"):
        folder.look(settle_s=0)
    monkeypatch.setattr(_arriving, "submit_import", submit)
    assert folder.fates() == {"17-1-1.npz": "failed", "17-1-2.npz": "imported"}
    assert folder.quarantined("17-1-1.npz") is None
    folder.look(settle_s=0)
    assert folder.fates()["17-1-1.npz"] == "imported"


def test_a_look_that_was_killed_before_it_told_tells_the_next_time(folder, monkeypatch) -> None:
    write(folder.path / "17-1-2.npz")
    tell = watching.announce
    monkeypatch.setattr(watching, "announce", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        folder.look(settle_s=0)
    monkeypatch.setattr(watching, "announce", tell)
    assert folder.told == []
    assert folder.look(settle_s=0).refs == {}
    assert [one["scan"] for one in folder.told] == ["17-1-2"]
    assert folder.fates() == {"17-1-2.npz": "already there"}


@pytest.mark.usefixtures("by_schedule")
def test_only_what_has_changed_is_published_and_only_news_are_told(folder) -> None:
    path = folder.path / "17-1-2.npz"
    folder.look()
    assert (folder.shown, folder.news) == ([], [])
    write(path)
    folder.look()
    assert ([rows[0]["state"] for rows in folder.shown], folder.news) == (["waiting"], [])
    folder.look()
    assert ([rows[0]["state"] for rows in folder.shown], folder.news) == (
        ["waiting", "imported"],
        ["Completed"],
    )
    for _ in range(2):
        folder.look()
    assert (len(folder.shown), folder.news) == (2, ["Completed"])


def test_a_folder_that_cannot_be_read_fails_a_schedule_once_and_a_person_always(folder, monkeypatch) -> None:
    away = folder.path.with_name("unmounted")
    by_itself = [True, True, True, False, True]
    monkeypatch.setattr(_one_by_one, "by_itself", lambda: by_itself.pop(0))
    folder.path.rename(away)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        folder.look()
    assert folder.look().refs == {}
    folder.path.touch()  # another fault
    with pytest.raises(StoreError, match="is a file"):
        folder.look()
    with pytest.raises(StoreError, match="is a file"):
        folder.look()
    folder.path.unlink()
    away.rename(folder.path)
    folder.look()
    assert folder.news == ["Failed", "Failed", "Failed", "Completed"]  # it is over


@pytest.mark.usefixtures("by_schedule")
def test_a_recording_that_cannot_be_read_fails_a_schedule_once(folder, monkeypatch) -> None:
    write(folder.path / "17-1-1.npz")
    submit, said = _arriving.submit_import, ["no permission", "no permission", "the disk is full"]

    def refused(stage, asked):
        raise StoreError(said[0])

    monkeypatch.setattr(_arriving, "submit_import", refused)
    for fails in (True, False, True):
        if fails:
            with pytest.raises(StoreError, match=said[0]):
                folder.look(settle_s=0)
        else:
            folder.look(settle_s=0)
        assert folder.fates() == {"17-1-1.npz": "failed"}
        said.pop(0)
        folder.later_s += 3600
    monkeypatch.setattr(_arriving, "submit_import", submit)
    folder.look(settle_s=0)
    assert folder.fates() == {"17-1-1.npz": "imported"}
    assert folder.news == ["Failed", "Failed", "Completed"]


@pytest.mark.usefixtures("by_schedule")
def test_what_fails_again_and_again_is_read_less_and_less_often(folder, monkeypatch) -> None:
    write(folder.path / "17-1-1.npz")
    tried, minutes = [], []
    monkeypatch.setattr(_arriving, "import_config", lambda *_: tried.append(1) or refuse())

    def refuse():
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        folder.look(settle_s=0)
    for minute in (5, 10, 15):
        tried.clear()
        folder.later_s = 60.0 * minute
        assert folder.ends(settle_s=0)[::2] == ("Passed over", [])
        minutes += [minute] if tried else []
    assert minutes == [5, 15]
    tried.clear()
    monkeypatch.setattr(_one_by_one, "by_itself", lambda: False)
    with pytest.raises(StoreError, match="the disk is full"):
        folder.look(settle_s=0)
    assert tried == [1]  # a person's run reads it at once


@pytest.mark.usefixtures("by_schedule")
def test_words_about_a_copy_are_those_about_the_recording_and_the_same_each_time(
    folder, monkeypatch, tmp_path
) -> None:
    place = backend_of(f"memory://{uuid.uuid4().hex}")
    whole = write(tmp_path / "whole.npz").read_bytes()
    place.replace("17-1-1.npz", whole[:-500])
    place.replace("17-1-2.npz", whole)
    monkeypatch.setattr(_arriving, "content_digest", unreadable)
    monkeypatch.setattr(_arriving, "import_config", unreadable)
    name, message, news = folder.ends(folder=place.uri, settle_s=0)
    said = (
        f"17-1-1.npz: OSError: [Errno 5] time = …, file descriptor = …, buf = 0x…: '{place.uri}/17-1-1.npz'"
    )
    assert (name, news) == ("Failed", ["Failed"])
    assert f"{said} (and 1 more); it is tried again" in message
    folder.later_s += 3600
    assert folder.ends(folder=place.uri, settle_s=0)[::2] == ("Passed over", [])
    monkeypatch.undo()
    monkeypatch.setenv("INCEPTION_LOOP_STORE", folder.store.uri)
    folder.look(folder=place.uri, settle_s=0)
    record = quarantined(folder.store.backend, place.uri, "17-1-1.npz")
    assert record.error.startswith(f"{place.uri}/17-1-1.npz ")
    assert "inception-loop-arrival" not in record.error


def unreadable(path, *_):
    """Fail as HDF5 does: with words that are others at each try."""
    raise OSError(
        errno.EIO, f"time = {uuid.uuid4()}, file descriptor = 7{id(path)}, buf = {hex(id(path))}", str(path)
    )


def test_a_link_that_leads_nowhere_is_in_the_list(folder, tmp_path) -> None:
    link, away = folder.path / "17-1-4.npz", write(tmp_path / "whole.npz")
    link.symlink_to(tmp_path / "elsewhere.npz")
    (folder.path / "17-1-5").mkdir()
    (folder.path / "17-1-5" / "images.npy").symlink_to(tmp_path / "elsewhere.npy")
    (folder.path / "17-1-5" / "responses.npy").touch()
    with pytest.raises(
        StoreError, match=r"17-1-4\.npz: the link file://\S*/17-1-4\.npz leads nowhere; .*1 more"
    ):
        folder.look(settle_s=0)
    assert folder.fates() == {"17-1-4.npz": "failed", "17-1-5": "failed"}
    assert "17-1-5/images.npy leads nowhere" in folder.shown[-1][1]["why"]
    (folder.path / "17-1-5" / "images.npy").unlink()
    away.rename(tmp_path / "elsewhere.npz")
    folder.look(settle_s=0)
    assert folder.fates()["17-1-4.npz"] == "imported"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('unmatched = "drop"', r"unmatched is 'drop'; expected"),
        ("unmatched = drop", "is no TOML: "),
        ('format = "mat"', r"format is 'mat'; expected"),
    ],
)
def test_what_is_wrong_in_the_file_beside_a_recording_names_the_file(folder, text, said) -> None:
    write(folder.path / "17-1-2.npz")
    (folder.path / "17-1-2.toml").write_text(text)
    folder.look(settle_s=0)
    error = folder.quarantined("17-1-2.npz").error
    assert error.startswith("17-1-2.toml beside it")
    assert said in error
    assert "ImportRules" not in error


def test_two_looks_at_once_import_each_recording_once_and_forget_nothing(folder, monkeypatch) -> None:
    """The second comes while the first imports, and waits for its end."""
    for idx in (1, 2, 3):
        write(folder.path / f"17-1-{idx}.npz", n_units=2 + idx)
    importing, waits = threading.Event(), threading.Event()
    submit, submitted = _arriving.submit_import, []

    def slowly(stage, asked):
        submitted.append(str(asked.scan))
        importing.set()
        assert waits.wait(60)
        submit(stage, asked)

    monkeypatch.setattr(_arriving, "submit_import", slowly)
    with (
        listening(lambda event: waits.set() if "another look" in event.text else None),
        ThreadPoolExecutor(2) as looks,
    ):
        first = looks.submit(copy_context().run, folder.look, settle_s=0)
        assert importing.wait(60)
        write(folder.path / "17-1-4.npz", n_units=7)  # the first has not seen it
        second = looks.submit(copy_context().run, folder.look, settle_s=0)
    assert (len(first.result().refs["recording"]), len(second.result().refs["recording"])) == (3, 1)
    assert submitted == ["17-1-1", "17-1-2", "17-1-3", "17-1-4"]
    assert folder.fates() == {f"17-1-{idx}.npz": "imported" for idx in (1, 2, 3, 4)}
    assert sorted(one["scan"] for one in folder.told) == submitted


def test_a_bucket_is_watched_and_a_file_beside_a_recording_says_how_it_is_read(
    minio, s3_uri, folder, tmp_path
) -> None:
    place = backend_of(f"{s3_uri}/arrivals")
    write(tmp_path / "x.npz")
    rows = [0, 1, 2, 3] * 3
    np.save(tmp_path / "images.npy", np.load(tmp_path / "x.npz")["images"][:4])
    np.save(tmp_path / "responses.npy", np.ones((12, 2), np.float32))
    np.savez(tmp_path / "trials.npz", image_row=rows)
    for name in ("images.npy", "responses.npy", "trials.npz"):
        place.replace(f"m17_1_2/{name}", (tmp_path / name).read_bytes())
    place.replace("m17_1_2.toml", b'format = "plain"\n[options]\ntrace_kind = "spikes"\nbrain_area = "LM"\n')
    place.replace("m17_1_3.npz", (tmp_path / "x.npz").read_bytes())
    place.replace("m17_1_3.toml", b'[options]\ntrace_kin = "spikes"\n')
    made = folder.look(
        folder=place.uri, pattern="m{animal_id}_{session}_{scan_idx}", settle_s=0, read=ImportRules()
    )
    config = folder.store.manifest(made.one("recording")).config
    assert (config["format"], config["options"]["brain_area"]) == ("plain", "LM")
    assert config["scan"] == {"animal_id": 17, "session": 1, "scan_idx": 2}
    record = quarantined(folder.store.backend, place.uri, "m17_1_3.npz")
    assert record.path == f"{place.uri}/m17_1_3.npz"
    assert "unknown key 'options.trace_kin'" in record.error


def test_a_folder_that_is_not_there_is_refused(folder) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no folder .*; expected the one that recordings"):
        folder.look(folder=str(folder.path / "unmounted"))


def test_the_name_of_the_event_is_that_of_the_automation() -> None:
    import yaml

    text = (Path(__file__).resolve().parents[2] / "deployments" / "automations.yaml").read_text()
    (later,) = [one for one in yaml.safe_load(text)["automations"] if one["name"].startswith("later-day")]
    assert later["trigger"]["expect"] == [IMPORTED]

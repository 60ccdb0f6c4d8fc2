"""Names are names: no id, reference, manifest or link makes anybody read or write where they should not."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.cli_report import pictures_in
from inception_loop.artifacts.address import MANIFEST
from inception_loop.artifacts.listing import page, resolve
from inception_loop.artifacts.manifest import InputRecord, encode
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.artifacts.transfer import copy
from inception_loop.errors import ArtifactCorruptError, InceptionLoopError
from inception_loop.images.natural.picture_files import read_pictures
from inception_loop.recordings.formats import read_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.export import check_export, export_session
from inception_loop.stimuli.export_session import session_of
from inception_loop.stimuli.export_source import export_source
from inception_loop.stimuli.recognised import exported_set

DIGEST = "0" * 64
OUT = ["../outside", "../../outside", "a/../../outside", "/etc", "./../outside", "a\0b"]
ODD = [
    "..",
    ".",
    ".hidden",
    "a/b",
    "a\\..\\b",
    "%2e%2e%2f",
    "\u2025\uff0f",
    "a\u202eb",
    "\u2024\u2024/x",
    "con:",
    "~root",
]


@pytest.fixture(params=["memory", "disk", "minio"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "memory":
        return open_store(f"memory://{tmp_path.name}/store")
    if request.param == "disk":
        return open_store(str(tmp_path / "place" / "store"))
    return open_store(request.getfixturevalue("s3_uri") + "/store")


def written(backend: Any, key: str) -> None:
    with backend.writer(key) as sink:
        sink.write(b"x")


def refused(action: Callable[[], Any]) -> str:
    with pytest.raises(InceptionLoopError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", OUT)
def test_no_backend_leaves_its_root(store: ArtifactStore, key: str) -> None:
    backend = store.backend
    for action in (
        lambda: backend.read(key),
        lambda: backend.size(key),
        lambda: backend.read_range(key, 0, 1),
        lambda: backend.create(key, b"x"),
        lambda: backend.replace(key, b"x"),
        lambda: backend.remove([key]),
        lambda: list(backend.walk(key)),
        lambda: written(backend, key),
    ):
        assert "leads out of the root" in refused(action)


def test_nothing_beside_a_store_is_read_written_listed_or_removed(tmp_path: Path, things: Any) -> None:
    store = open_store(str(tmp_path / "place" / "store"))
    ref = things.make(store)
    beside = open_store(str(tmp_path / "place" / "other"))
    other = things.make(beside, "other")
    before = sorted(path for path in (tmp_path / "place" / "other").rglob("*"))
    told = store.uri + "/../other/" + beside.key(other)
    for kind in ("thing", "../other/thing", "../../x"):
        strange = ArtifactRef(kind=kind, digest=other.digest, uri=told)
        for action in (
            lambda one=strange: store.manifest(one),
            lambda one=strange: store.exists(one),
            lambda one=strange: store.table(one, "rows"),
            lambda one=strange: copy(store, open_store("memory://target"), one),
        ):
            refused(action)
    for name in (
        "../other/thing/0123",
        f"../other/{beside.key(other)}",
        f"thing/../../other/thing/{DIGEST}",
        told,
    ):
        refused(lambda name=name: resolve(store, name))
    for kind, partition in (("../other", ""), ("thing", "../../other/thing"), ("..", ""), ("thing", "..")):
        refused(lambda kind=kind, partition=partition: page(store, kind, partition))
    assert sorted((tmp_path / "place" / "other").rglob("*")) == before
    assert store.exists(ref)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_one_level_of_a_key_and_comes_back(
    store: ArtifactStore, name: str, things: Any
) -> None:
    ref = things.make(store, name)
    key = store.key(ref)
    assert key.count("/") == 2
    assert not {".", ".."} & set(key.split("/"))
    (listed,) = page(store, "thing").artifacts
    assert listed.ref == ref
    assert store.manifest(ref).config["name"] == name
    assert store.table(ref, "rows").height == 2


HOSTILE_MANIFESTS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "payload above": lambda m, name: payload(m, f"../../../../{name}"),
    "payload beside": lambda m, name: payload(m, f"x/../../{name}"),
    "absolute payload": lambda m, name: payload(m, f"/{name}"),
    "payload with NUL": lambda m, name: payload(m, "rows\0.parquet"),
    "payload with slash alike": lambda m, name: payload(m, f"..\uff0f{name}"),
    "attempt": lambda m, name: {"attempt": f"../../../../{name}"},
}


def payload(manifest: Any, name: str) -> dict[str, Any]:
    changed = manifest.payloads["page"].model_copy(update={"object": name})
    return {"payloads": {**manifest.payloads, "page": changed}}


@pytest.mark.parametrize("change", HOSTILE_MANIFESTS.values(), ids=HOSTILE_MANIFESTS)
def test_a_signed_manifest_leads_nowhere_else(change: Any, tmp_path: Path, things: Any) -> None:
    store, target = open_store(str(tmp_path / "store")), open_store(str(tmp_path / "target"))
    (tmp_path / "private.html").write_bytes(b"<p>")  # of the size and hash that the manifest names
    ref = things.make(store)
    manifest = store.manifest(ref)
    hostile = manifest.model_copy(update=change(manifest, "private.html"))
    store.backend.replace(f"{store.key(ref)}/{MANIFEST}", encode(hostile))
    for action in (
        lambda: store.file(ref, "page"),
        lambda: store.manifest(ref),
        lambda: copy(store, target, ref),
    ):
        assert "not to be trusted" in refused(action)
    assert not (tmp_path / "target").exists()


def test_an_input_that_a_manifest_names_lies_in_the_store(tmp_path: Path, things: Any) -> None:
    store = open_store(str(tmp_path / "store"))
    ref = things.make(store)
    manifest = store.manifest(ref)
    outside = InputRecord(kind="thing", digest=DIGEST, key=f"../other/thing/{DIGEST}", payloads={})
    hostile = manifest.model_copy(update={"inputs": {"a": [outside]}})
    store.backend.replace(f"{store.key(ref)}/{MANIFEST}", encode(hostile))
    assert "leads out of the root" in refused(lambda: copy(store, open_store("memory://t2"), ref))


# --- names on the command line ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("store", "show", "../../etc/passwd"),
        ("store", "show", f"frame/../../../{DIGEST}"),
        ("store", "lineage", f"../x/{DIGEST}"),
        ("store", "verify", "frame/..", "--no-hashes"),
        ("store", "repair", f"../../x/{DIGEST}"),
        ("store", "ls", "../.."),
        ("store", "ls", "frame", "../../.."),
        ("export", "../../stimulus_set/0123", "--output", "rig"),
        ("report", "../../report", "--output", "out"),
        ("run", "ingest", "--set", "recordings=['../../recording/0123']"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_in_one_line(
    words: tuple[str, ...], call: Any, tmp_path: Path, things: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(str(tmp_path / "a" / "b" / "store"))
    things.make(store)
    before = sorted(tmp_path.rglob("*"))
    said = call(*words, "--store", store.uri)
    said.refused()
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("value", ["-1", "../1", "1/../2", "1\\..", "١/٢"])
def test_a_scan_key_is_numbers(value: str, call: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4), np.uint8), responses=np.ones((2, 1)))
    scan = ("--animal-id", value, "--session", 1, "--scan-idx", 1)
    said = call("import", tmp_path / "a.npz", *scan, "--store", f"file://{tmp_path}/store")
    said.refused()
    assert not (tmp_path / "store").exists()


# --- archives and folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member", ["../images", "/tmp/images", "a/../../images", "images\\..\\x", "..", "images.npy/"]
)
def test_a_member_of_an_archive_is_never_a_path(member: str, tmp_path: Path) -> None:
    path = tmp_path / "in" / "day.npz"
    path.parent.mkdir()
    np.savez(path, responses=np.ones((2, 1)), images=np.zeros((2, 4, 4), np.uint8))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{member}.npy", b"\x93NUMPY\x01\x00")
    scan = ScanKey(animal_id=1, session=1, scan_idx=1)
    refused(lambda: read_recording(path, scan, ReadOptions(trace_kind="spikes")))
    refused(lambda: list(read_pictures(path)))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["day.npz", "in"]


@pytest.fixture
def rig(sets: Any, thing_store: ArtifactStore, tmp_path: Path) -> Path:
    """An export as a rig has it."""
    shown = sets.make_set(thing_store, units=(3, 1), repeats=1)
    folder = tmp_path / "rig"
    export_session(session_of(export_source(thing_store, shown)), folder, ("png",))
    return folder


def test_links_inside_a_rigs_folder_that_lead_out_are_faults_and_never_read(
    rig: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("trials.parquet", "conditions.parquet", sorted(os.listdir(rig / "images"))[0]):  # noqa: PTH208
        path = rig / name if (rig / name).exists() else rig / "images" / name
        path.rename(outside / name)  # the same bytes, elsewhere
        path.symlink_to(outside / name)
    faults = {fault.what for fault in check_export(rig).faults}
    assert faults == {"leads out of the folder"}
    assert "is not as it was written" in refused(lambda: exported_set(rig))
    (rig / "stray").symlink_to("/etc")
    assert ("stray", "is no part of the export") in check_export(rig).faults
    assert not [fault for fault in check_export(rig).faults if fault.file.startswith("stray/")]


def signed(body: dict[str, Any]) -> str:
    """Return a manifest of an export with the checksum that it should have."""
    text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    whole = {**body, "manifest_sha256": hashlib.sha256(text.encode()).hexdigest()}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", ["../outside.png", "/etc/hostname", "images/../../outside.png"])
def test_a_signed_export_names_files_of_its_folder_only(name: str, rig: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(b"private")
    path = rig / "manifest.json"
    body = json.loads(path.read_text())
    del body["manifest_sha256"]
    data = b"private"
    body["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(signed(body))
    assert (name, "leads out of the folder") in check_export(rig).faults
    assert "is not as it was written" in refused(lambda: exported_set(rig))


def test_pictures_of_a_rig_that_would_fill_the_memory_are_refused(rig: Path) -> None:
    path = rig / "manifest.json"
    body = json.loads(path.read_text())
    del body["manifest_sha256"]
    for name in body["files"]:
        if name.startswith("images/"):  # 25 MB each, of 25 kB
            Image.new("L", (5000, 5000)).save(rig / name)
            data = (rig / name).read_bytes()
            body["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(signed(body))
    assert check_export(rig).faults == []
    assert "claims to hold" in refused(lambda: exported_set(rig))


def test_nesting_without_end_is_one_line(call: Any, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("a = " + "[" * 100_000)
    call("run", "train", "--config", tmp_path / "a.toml").refused("is no TOML")
    call("run", "train", "--set", "grid=" + "[" * 100_000).refused()


def archive_of(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_pictures_of_a_gallery_lose_the_folders_of_their_names() -> None:
    found = pictures_in(archive_of(**{"../a.png": b"a", "/etc/b.png": b"b", "x/../../c.png": b"c"}))
    assert dict(found) == {"a.png": b"a", "b.png": b"b", "c.png": b"c"}


@pytest.mark.parametrize("name", ["..", "a/..", "x/.bashrc", "..\\..\\a.png"])
def test_a_picture_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"names no file|not to be trusted"):
        list(pictures_in(archive_of(**{name: b"x"})))


def test_pictures_that_unpack_to_more_than_their_archive_are_refused() -> None:
    with pytest.raises(ArtifactCorruptError, match="larger than itself"):
        next(pictures_in(archive_of(**{"a.png": bytes(10**7)})))

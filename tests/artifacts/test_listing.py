"""Listings are lazy: what is asked for is what is looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from inception_loop.artifacts.listing import artifacts, page, resolve
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.artifacts.upkeep import verify, withdraw
from inception_loop.errors import ConfigurationError


def test_the_first_page_opens_the_folders_of_the_first_page_only(
    disk_store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for animal in range(3):
        for number in range(300):
            folder = tmp_path / "store" / "frame" / f"animal_id={animal}" / f"{number:064x}"
            folder.mkdir(parents=True)
            (folder / "manifest.json").touch()
    opened = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: opened.append(folder) or scandir(folder))
    first = page(disk_store, "frame", limit=10)
    assert [listed.ref.digest for listed in first.artifacts] == [f"{number:064x}" for number in range(10)]
    assert len(opened) <= 2 + 11
    opened.clear()
    rest = page(disk_store, "frame", after=first.after, limit=10)
    assert rest.artifacts[0].ref.digest == f"{10:064x}"
    assert len(opened) <= 2 + 12
    assert len(list(artifacts(disk_store, "frame", "animal_id=1"))) == 300


def test_a_damaged_artifact_is_still_found(memory_store: ArtifactStore, demo: Any) -> None:
    ref = memory_store.make(demo.kind, demo.config(name="a"), demo.build).ref
    memory_store.backend.replace(f"{memory_store.key(ref)}/manifest.json", b"damaged")
    assert resolve(memory_store, ref.uri) == resolve(memory_store, f"demo/{ref.digest[:8]}") == ref
    assert len(verify(memory_store, ref).faults) == 1
    assert len(withdraw(memory_store, ref)) == 1
    assert not memory_store.exists(ref)


def test_a_partition_of_no_kind_is_refused(memory_store: ArtifactStore) -> None:
    with pytest.raises(ConfigurationError, match="partition 'a=1' of no kind; name the kind too"):
        page(memory_store, partition="a=1")


def test_what_is_no_artifact_is_not_listed(memory_store: ArtifactStore, demo: Any) -> None:
    ref = memory_store.make(demo.kind, demo.config(name="a"), demo.build).ref
    for key in (
        "manifest.json",
        "demo/manifest.json",
        "demo/x/manifest.json",
        f"_x/{'0' * 64}/manifest.json",
    ):
        memory_store.backend.create(key, b"")
    assert [listed.ref for listed in artifacts(memory_store)] == [ref]

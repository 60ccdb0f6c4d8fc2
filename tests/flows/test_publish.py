"""Prefect artifacts: only inside a run, small, with plain values and keys that Prefect takes."""

import uuid

import numpy as np
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows import _publish


def test_outside_a_run_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AssertionError("written outside a run")

    for name in ("create_table_artifact", "create_markdown_artifact", "create_progress_artifact"):
        monkeypatch.setattr(_publish, name, refuse)
    assert not _publish.in_run()
    _publish.table("a", [{"n": 1}])
    _publish.markdown("a", "text")
    _publish.Progress("a").update(1, 2)


def test_a_table_in_a_run_is_an_artifact_of_plain_values() -> None:
    key = f"Table {uuid.uuid4()}"

    @flow
    def publish() -> None:
        _publish.table(key, [{"n": np.int64(3), "share": np.float32(0.5)}], "numbers")
        _publish.table(key + " none", [])
        _publish.markdown(key + " words", "**bold**")

    publish()
    slug = key.lower().replace(" ", "-")
    assert data_of(slug) == ['[{"n": 3, "share": 0.5}]']
    assert data_of(slug + "-none") == []
    assert data_of(slug + "-words") == ["**bold**"]


def data_of(key: str) -> list[object]:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return [artifact.data for artifact in found]


def test_a_table_that_is_too_long_keeps_its_beginning() -> None:
    rows: list[dict[str, object]] = [{"row": row, "text": "x" * 1000} for row in range(1000)]
    kept = _publish._fitting(rows)
    assert len(repr(kept)) <= _publish.LIMIT_BYTES
    assert kept == rows[: len(kept)]
    assert len(kept) > 40


def test_progress_is_written_once_a_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(_publish, "in_run", lambda: True)
    monkeypatch.setattr(
        _publish, "create_progress_artifact", lambda **k: written.append(k["progress"]) or "id"
    )
    monkeypatch.setattr(_publish, "update_progress_artifact", lambda **k: written.append(k["progress"]))
    progress = _publish.Progress("a")
    for done in range(0, 2001):
        progress.update(done, 2000)
    assert written == [float(percent) for percent in range(101)]

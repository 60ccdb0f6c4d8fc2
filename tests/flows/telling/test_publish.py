"""Prefect artifacts: only inside a run, small, with plain values and keys that Prefect takes."""

import os
import urllib.error
import urllib.request
import uuid
from itertools import count
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

from flows.telling import publish
from flows.telling.links import link, opened
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import File, Kind
from inception_loop.artifacts.places import backend_of
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store


def test_outside_a_run_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AssertionError("written outside a run")

    for name in ("create_table_artifact", "create_markdown_artifact", "create_progress_artifact"):
        monkeypatch.setattr(publish, name, refuse)
    assert not publish.in_run()
    publish.table("a", [{"n": 1}])
    publish.markdown("a", "text")
    publish.Progress("a").update(1, 2)


def test_a_table_in_a_run_is_an_artifact_of_plain_values() -> None:
    key = f"Table {uuid.uuid4()}"

    @flow
    def publishing() -> None:
        publish.table(key, [{"n": np.int64(3), "share": np.float32(0.5)}], "numbers")
        publish.table(key + " none", [])
        publish.markdown(key + " words", "**bold**")

    publishing()
    slug = key.lower().replace(" ", "-")
    assert data_of(slug) == ['[{"n": 3, "share": 0.5}]']
    assert data_of(slug + "-none") == []
    assert data_of(slug + "-words") == ["**bold**"]


def data_of(key: str) -> list[object]:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return [artifact.data for artifact in found]


PICTURE = Kind("shown_picture", 1, "A picture.", {"picture": File(".png", "it")})
PNG = b"\x89PNG" + b"0" * 200_000


class PictureConfig(Config):
    """Nothing to choose."""


def a_picture(uri: str) -> tuple[ArtifactStore, ArtifactRef]:
    store = open_store(uri)
    return store, store.make(PICTURE, PictureConfig(), lambda a: a.write_file("picture", PNG)).ref


def test_a_picture_in_a_bucket_is_shown_by_an_address_that_opens_it_alone(s3_uri, monkeypatch) -> None:
    store, ref = a_picture(s3_uri)
    url = link(store, ref, "picture")
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == PNG
        assert answer.headers["Content-Type"] == "image/png"
    manifest = f"{url.partition('?')[0].rpartition('/')[0].rpartition('/')[0]}/manifest.json"
    for refused in (url.partition("?")[0], f"{manifest}?{url.partition('?')[2]}"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(refused, timeout=20)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in url
    assert opened(store, ref, "picture") == f" [Open it]({url}) (for 7 days)."
    key = f"picture {uuid.uuid4()}"

    @flow
    def publishing() -> None:
        publish.picture(key, PNG, "large", link=url)

    publishing()
    assert data_of(key.replace(" ", "-")) == [url]
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")  # it would stand in the address
    assert backend_of(s3_uri).link("a.png", "image/png", 60) is None


def test_a_link_is_signed_for_the_address_that_browsers_reach(s3_uri, minio, monkeypatch) -> None:
    inside, port = os.environ["AWS_ENDPOINT_URL"], minio.endpoint.rpartition(":")[2]
    assert inside == f"http://127.0.0.1:{port}"
    monkeypatch.setenv("INCEPTION_LOOP_PUBLIC_S3", f"http://localhost:{port}")
    store, ref = a_picture(s3_uri)
    url = link(store, ref, "picture")
    assert url.startswith(f"http://localhost:{port}/")
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == PNG
    with pytest.raises(urllib.error.HTTPError, match="403"):  # the host is signed too
        urllib.request.urlopen(url.replace("localhost", "127.0.0.1"), timeout=20)
    monkeypatch.setenv("INCEPTION_LOOP_PUBLIC_S3", "https://s3.lab.example")
    bucket = s3_uri.split("/")[2]
    assert link(open_store(s3_uri), ref, "picture").startswith(f"https://s3.lab.example/{bucket}/")


def test_a_picture_on_a_disk_has_no_address_and_is_shown_if_it_is_small(tmp_path) -> None:
    store, ref = a_picture(f"file://{tmp_path}/store")
    assert link(store, ref, "picture") is None
    assert opened(store, ref, "picture") == ""
    key = f"picture-{uuid.uuid4()}"

    @flow
    def publishing() -> None:
        publish.picture(key + "-large", PNG)
        publish.picture(key, PNG[:4])

    publishing()
    assert data_of(key + "-large") == []
    assert data_of(key) == ["data:image/png;base64,iVBORw=="]


def test_a_server_that_is_away_fails_no_run(monkeypatch, caplog) -> None:
    """What it would have shown is lost, one line says so, and progress is shown again once it is back."""
    retries: list[int] = []

    def away(*_: object, **__: object) -> None:
        retries.append(PREFECT_CLIENT_MAX_RETRIES.value())
        raise httpx.ConnectError("refused")

    progress = publish.Progress("work")

    @flow
    def publishing() -> str:
        with monkeypatch.context() as patched:
            for name in ("table", "markdown", "image", "progress"):
                patched.setattr(publish, f"create_{name}_artifact", away)
            publish.table("a", [{"n": 1}])
            publish.markdown("b", "text")
            publish.picture("c", b"png")
            progress.update(1, 4)
        progress.update(4, 4)
        return "the work"

    assert publishing() == "the work"
    said = [line for line in caplog.messages if "does not answer (ConnectError)" in line]
    assert [line.partition(": ")[2].partition(" is ")[0] for line in said] == [
        "the table a",
        "the text b",
        "the picture c",
    ]
    assert progress._id is not None
    assert min(retries[:3]) > 0  # it may be back in a moment
    assert retries[3:] == [0]


def test_what_the_server_refuses_fails_the_run(monkeypatch) -> None:
    def refused(**_: object) -> None:
        httpx.Response(422, request=httpx.Request("POST", "http://server")).raise_for_status()

    monkeypatch.setattr(publish, "create_markdown_artifact", refused)

    @flow
    def publishing() -> None:
        publish.markdown("a", "text")

    with pytest.raises(httpx.HTTPStatusError, match="422"):
        publishing()


def test_a_table_that_is_too_long_keeps_its_beginning() -> None:
    rows: list[dict[str, object]] = [{"row": row, "text": "x" * 1000} for row in range(1000)]
    kept = publish._fitting(rows)
    assert publish._fitting([{"text": "x" * publish.LIMIT_BYTES}, *rows])[1:] == []
    assert len(repr(kept)) <= publish.LIMIT_BYTES
    assert kept == rows[: len(kept)]
    assert len(repr(rows[: len(kept) + 1])) > publish.LIMIT_BYTES


def test_a_table_says_what_of_it_is_not_shown(monkeypatch) -> None:
    made: list[tuple[int, str]] = []
    monkeypatch.setattr(publish, "in_run", lambda: True)
    monkeypatch.setattr(
        publish,
        "create_table_artifact",
        lambda table, key, description: made.append((len(table), description)),
    )
    rows = [{"state": "failed"}] * 2 + [{"state": "there", "why": "x" * 1000}] * 110
    publish.table("a", rows, "all of them", state="state")
    ((shown, words),) = made
    assert words == f"all of them; … and {112 - shown} more, there"
    publish.table("a", [*rows, {"state": "waiting"}], state="state")
    assert made[1] == (shown, f"… and {113 - shown} more, {112 - shown} there, 1 waiting")
    publish.table("a", rows[:5], "all of them", state="state")
    assert made[2] == (5, "all of them")


def written_of(monkeypatch: pytest.MonkeyPatch, seconds_each: float) -> list[float]:
    """Return the percents that are written of 2,000 parts, each of which takes so long."""
    written: list[float] = []
    clock = (seconds_each * part for part in count())
    monkeypatch.setattr(publish, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(publish, "in_run", lambda: True)
    monkeypatch.setattr(
        publish, "create_progress_artifact", lambda **k: written.append(k["progress"]) or "id"
    )
    monkeypatch.setattr(publish, "update_progress_artifact", lambda **k: written.append(k["progress"]))
    progress = publish.Progress("a")
    for done in range(0, 2001):
        progress.update(done, 2000)
    return written


def test_progress_is_written_once_a_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written_of(monkeypatch, 0.25) == [float(percent) for percent in range(101)]


def test_and_once_a_second_of_what_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written_of(monkeypatch, 0.01) == [*map(float, range(0, 100, 5)), 100.0]


def test_and_at_its_end_however_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written_of(monkeypatch, 0.0) == [0.0, 100.0]

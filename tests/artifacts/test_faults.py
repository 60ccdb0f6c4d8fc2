"""A store that cannot do what it is asked: one clear line each, nothing lost, no secret told."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inception_loop.artifacts.attempt import Attempt
from inception_loop.artifacts.faults import translate
from inception_loop.artifacts.lease import Clock
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.artifacts.upkeep import sweep, verify
from inception_loop.errors import ArtifactExistsError, ConfigurationError, StoreError, TransientStoreError
from inception_loop.settings import Settings

CHILDREN = Path(__file__).with_name("children.py")


def failing(action: Callable[[], Any], kind: type[Exception], *secrets: str) -> str:
    """Run what must fail and return its one line; nothing of it tells a secret."""
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    link: BaseException | None = caught.value
    while link is not None:
        everything = f"{link} {link!r} {link.args} {vars(link)}"
        assert not [secret for secret in secrets if secret in everything]
        link = link.__cause__ or link.__context__
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestUris:
    @pytest.mark.parametrize(
        "uri", ["gs://bucket/x", "http://host/x", "s3://", "file://relative", "S3://x", "://x"]
    )
    def test_an_unknown_place_is_refused(self, uri: str) -> None:
        message = failing(lambda: open_store(uri), ConfigurationError)
        assert "expected file:///folder, a plain folder, s3://bucket/prefix or memory://name" in message

    @pytest.mark.parametrize(
        "uri",
        [
            "s3://key:hush@bucket/x",
            "s3://key:hush/hush@bucket/x",  # secrets may hold slashes
            "s3://key:hush",
            "gs://hush@bucket",
            "file://hush@host/x",
        ],
    )
    def test_credentials_in_a_uri_are_refused_and_not_repeated(self, uri: str) -> None:
        assert "use AWS_ACCESS_KEY_ID" in failing(lambda: open_store(uri), ConfigurationError, "hush")


class TestDisk:
    def test_a_file_is_no_store(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for path in (tmp_path / "file", tmp_path / "file" / "below"):
            message = failing(lambda path=path: open_store(str(path)), StoreError)
            assert "is a file; expected a folder" in message

    def test_a_place_that_no_folder_can_be_made_in(self, demo: Any, settings: Settings) -> None:
        store = open_store("file:///proc/nowhere", settings)
        message = failing(lambda: store.make(demo.kind, demo.config(name="a"), demo.build), StoreError)
        assert message.startswith("cannot write file:///proc/nowhere/_leases/demo/")
        assert demo.built == []  # refused before anything was computed

    def test_no_permission(self) -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            folder.chmod(0o555)
            error = self.child("unprivileged", str(folder))
        finally:
            folder.chmod(0o755)
            shutil.rmtree(folder)
        assert error["error"] == "StoreError"
        assert "permission denied; use a store that this user may read and write" in error["message"]

    def test_a_full_disk_by_the_largest_file(self, tmp_path: Path) -> None:
        error = self.child("limited", str(tmp_path / "store"))
        assert error["error"] == "StoreError"
        assert "no space is left there; free some or use another store" in error["message"]
        self.nothing_half_written(tmp_path / "store")

    def test_a_full_disk(self, demo: Any, settings: Settings, tmp_path: Path) -> None:
        with small_disk(tmp_path / "small", "256k") as place:
            (place / "ballast").write_bytes(bytes(200_000))
            store = open_store(str(place / "store"), settings)

            def build(attempt: Attempt) -> None:
                demo.build(attempt)
                attempt.write_file("note", bytes(10))

            def large(attempt: Attempt) -> None:
                attempt.write_file("note", bytes(100_000))

            message = failing(lambda: store.make(demo.kind, demo.config(name="a"), large), StoreError)
            assert "no space is left there" in message
            self.nothing_half_written(place / "store")
            (place / "ballast").unlink()
            assert not store.make(demo.kind, demo.config(name="a"), demo.build).cached
            assert verify(store).sound

    def child(self, command: str, uri: str) -> dict[str, str]:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        run = [sys.executable, str(CHILDREN), command, uri]
        done = subprocess.run(run, capture_output=True, text=True, check=False, env=environment, timeout=120)
        assert done.returncode == 1, done.stderr
        return json.loads(done.stdout)

    def nothing_half_written(self, root: Path) -> None:
        assert [path for path in root.rglob("*") if path.is_file() and "_leases" not in path.parts] == []


class small_disk:  # noqa: N801
    """A file system of a few kilobytes, where the tests may mount one."""

    def __init__(self, place: Path, size: str) -> None:
        self.place, self.size = place, size

    def __enter__(self) -> Path:
        self.place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", str(self.place)]
        if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip(
                "a small file system can be mounted by root only; the largest-file test covers the rest"
            )
        return self.place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self.place)], check=True)


class TestMinio:
    @pytest.fixture
    def secret(self, minio: Any) -> str:
        return str(minio.password)

    def test_a_bucket_that_does_not_exist(self, s3_uri: str, secret: str) -> None:
        message = failing(lambda: open_store("s3://no-such-bucket/x"), StoreError, secret)
        assert message == (
            "cannot open the store s3://no-such-bucket/x: the bucket does not exist; "
            "create it or correct the store's URI"
        )

    def test_a_wrong_secret(self, s3_uri: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-hush")
        message = failing(lambda: open_store(s3_uri), StoreError, secret, "wrong-hush")
        assert "refuses the credentials (SignatureDoesNotMatch); correct AWS_ACCESS_KEY_ID" in message

    def test_a_wrong_key(self, s3_uri: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        message = failing(lambda: open_store(s3_uri), StoreError, secret)
        assert "refuses the credentials (InvalidAccessKeyId)" in message

    def test_no_credentials(self, s3_uri: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        message = failing(lambda: open_store(s3_uri), StoreError, secret)
        assert "no usable credentials were found; set AWS_ACCESS_KEY_ID" in message

    def test_an_unknown_profile(self, s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        assert "no usable credentials were found" in failing(lambda: open_store(s3_uri), StoreError)

    def test_credentials_in_the_endpoint_are_refused(
        self, s3_uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hush@127.0.0.1:1")
        assert "AWS_ENDPOINT_URL holds credentials" in failing(
            lambda: open_store(s3_uri), ConfigurationError, "hush"
        )

    def test_nobody_listens(self, s3_uri: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        message = failing(lambda: open_store(s3_uri), TransientStoreError, secret)
        assert "the store does not answer; check that it runs, then run again" in message

    def test_reading_without_the_permission_to_write(
        self,
        minio: Any,
        s3_uri: str,
        secret: str,
        settings: Settings,
        demo: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ref = open_store(s3_uri, settings).make(demo.kind, demo.config(name="a"), demo.build).ref
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["s3:GetObject", "s3:ListBucket"],
                    "Resource": ["arn:aws:s3:::*"],
                }
            ],
        }
        guest = minio.client("sts").assume_role(
            RoleArn="arn:aws:iam::000000000000:role/guest", RoleSessionName="guest", Policy=json.dumps(policy)
        )["Credentials"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", guest["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", guest["SecretAccessKey"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", guest["SessionToken"])
        store = open_store(s3_uri, settings)
        assert store.make(demo.kind, demo.config(name="a"), demo.build) == (ref, True)
        assert verify(store).sound
        message = failing(
            lambda: store.make(demo.kind, demo.config(name="b"), demo.build),
            StoreError,
            secret,
            guest["SecretAccessKey"],
            guest["SessionToken"],
        )
        assert "permission denied; use a store that this user may read and write" in message
        assert len(demo.built) == 1

    def test_no_secret_in_what_is_written_and_logged(
        self, s3_uri: str, secret: str, settings: Settings, demo: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "inception_loop")
        store = open_store(s3_uri, settings)
        store.make(demo.kind, demo.config(name="a"), demo.build)
        written = b"".join(store.backend.read(entry.key) or b"" for entry in store.backend.walk())
        assert secret.encode() not in written
        assert secret not in caplog.text + repr(store) + repr(store.backend.fs) + repr(settings)

    def test_a_server_that_vanishes_and_comes_back(
        self, minio: Any, s3_uri: str, secret: str, settings: Settings, demo: Any
    ) -> None:
        store = open_store(s3_uri, settings)
        before = store.make(demo.kind, demo.config(name="before"), demo.build).ref

        def vanish(attempt: Attempt) -> None:
            demo.build(attempt)
            minio.stop()

        try:
            message = failing(
                lambda: store.make(demo.kind, demo.config(name="a"), vanish), TransientStoreError, secret
            )
            assert "the store does not answer; check that it runs, then run again" in message
            failing(lambda: store.table(before, "units"), TransientStoreError, secret)
        finally:
            minio.start()
        assert store.table(before, "units").equals(demo.units())
        assert not store.exists(store.ref(demo.kind, demo.config(name="a")))
        # The lease could not be marked: its owner is this very process, which lives, so it is waited for.
        patient = open_store(s3_uri, settings, clock=passing_quickly())
        outcome = patient.make(demo.kind, demo.config(name="a"), demo.build, {})
        assert not outcome.cached
        assert verify(store).sound
        assert (
            len(sweep(store, older_than_s=-60).keys) >= 3
        )  # what the attempt had written when it was cut off


def passing_quickly() -> Clock:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += 20 * seconds

    return Clock(lambda: now[0], sleep, lambda: 0.0)


class TestAnswerLost:
    """The write was done but its answer got lost: the client writes again and meets itself."""

    @pytest.fixture
    def store(self, memory_store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
        create = memory_store.backend.create

        def twice(key: str, data: bytes, *, durable: bool = True) -> None:
            create(key, data, durable=durable)
            if not key.endswith((".parquet", ".npz", ".txt")):
                create(key, data, durable=durable)

        monkeypatch.setattr(memory_store.backend, "create", twice)
        return memory_store

    def test_it_is_still_the_winner(self, store: ArtifactStore, demo: Any) -> None:
        outcome = store.make(demo.kind, demo.config(name="a"), demo.build)
        assert not outcome.cached
        assert verify(store).sound
        assert store.manifest(outcome.ref).lease_generation == 1

    def test_nothing_is_discarded_when_nobody_knows_who_won(
        self, memory_store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = memory_store.backend.create

        def lose_the_answer(key: str, data: bytes, *, durable: bool = True) -> None:
            create(key, data, durable=durable)
            if key.endswith("manifest.json"):
                raise TransientStoreError("gone")

        monkeypatch.setattr(memory_store.backend, "create", lose_the_answer)
        with pytest.raises(TransientStoreError):
            memory_store.make(demo.kind, demo.config(name="a"), demo.build)
        monkeypatch.undo()
        assert memory_store.make(demo.kind, demo.config(name="a"), demo.build).cached
        assert verify(memory_store).sound


class TestManifestRefused:
    """The store does not take a manifest, and says so."""

    def refusing(self, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, *, done: bool) -> None:
        create = store.backend.create

        def refuse(key: str, data: bytes, *, durable: bool = True) -> None:
            if not key.endswith("manifest.json"):
                return create(key, data, durable=durable)
            if done:
                create(key, data, durable=durable)
            raise StoreError("no space is left there")

        monkeypatch.setattr(store.backend, "create", refuse)

    def test_nothing_stays_of_an_attempt_that_has_none(
        self, memory_store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refusing(memory_store, monkeypatch, done=False)
        with pytest.raises(StoreError, match="no space"):
            memory_store.make(demo.kind, demo.config(name="a"), demo.build)
        assert [entry.key for entry in memory_store.backend.walk("demo")] == []

    def test_what_a_manifest_names_stays_whatever_its_write_said(
        self, memory_store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.refusing(memory_store, monkeypatch, done=True)
        with pytest.raises(StoreError, match="no space"):
            memory_store.make(demo.kind, demo.config(name="a"), demo.build)
        monkeypatch.undo()
        assert memory_store.make(demo.kind, demo.config(name="a"), demo.build).cached
        assert verify(memory_store).sound


class TestTranslation:
    """What other servers and file systems answer, which no service here does on demand."""

    @pytest.mark.parametrize(
        ("code", "kind", "text"),
        [
            ("PreconditionFailed", ArtifactExistsError, "something stands there already"),
            ("ConditionalRequestConflict", ArtifactExistsError, "something stands there already"),
            ("XMinioStorageFull", StoreError, "no space is left"),
            ("SlowDown", TransientStoreError, "does not answer"),
            ("InternalError", TransientStoreError, "does not answer"),
            ("ExpiredToken", StoreError, "refuses the credentials (ExpiredToken)"),
            ("AccessDenied", StoreError, "permission denied"),
            ("KeyTooLongError", StoreError, "KeyTooLongError"),
        ],
    )
    def test_codes_of_s3(self, code: str, kind: type[Exception], text: str) -> None:
        cause = RuntimeError("hush")
        cause.response = {"Error": {"Code": code, "Message": "hush"}}  # type: ignore[attr-defined]
        error = OSError(22, "hush")
        error.__cause__ = cause
        translated = translate(error, "write", "s3://bucket/key")
        assert type(translated) is kind
        assert text in str(translated)
        assert "hush" not in str(translated)

    @pytest.mark.parametrize(
        ("error", "kind", "text"),
        [
            (FileExistsError(17, "x"), ArtifactExistsError, "something stands there already"),
            (OSError(28, "x"), StoreError, "no space is left"),
            (OSError(122, "x"), StoreError, "no space is left"),
            (OSError(30, "x"), StoreError, "permission denied"),
            (OSError(116, "x"), TransientStoreError, "does not answer"),
            (TimeoutError(), TransientStoreError, "does not answer"),
            (ConnectionResetError(104, "x"), TransientStoreError, "does not answer"),
            (OSError(5, "Input/output error"), StoreError, "Input/output error"),
            (RuntimeError("hush"), StoreError, "RuntimeError"),
        ],
    )
    def test_errors_of_file_systems(self, error: Exception, kind: type[Exception], text: str) -> None:
        translated = translate(error, "write", "file:///key")
        assert type(translated) is kind
        assert text in str(translated)
        assert "hush" not in str(translated)

"""What the tests of threats share: commands called as a person types them, keys with few rights."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from flows import cli
from inception_loop.artifacts.address import MANIFEST
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import VECTOR, Array, Arrays, Column, File, Kind, Table
from inception_loop.artifacts.manifest import encode
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, open_store

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "infra" / "policies"


class Said(NamedTuple):
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    def refused(self, *words: str) -> str:
        """Return the one line of a command that failed in order."""
        assert self.status in {1, 2}, self
        assert "Traceback" not in self.err
        assert "unexpected" not in self.err, self.err
        line = self.err.splitlines()[-1]
        assert line.startswith("error: ")
        assert self.err.count("error: ") == 1
        for word in words:
            assert word in line
        return line


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call the console script in this process."""
    monkeypatch.setenv("INCEPTION_LOOP_STORE", "memory://nobody-named-a-store")  # put back after the test

    def call(*words: object) -> Said:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in words])
        return Said(int(str(ended.value.code)), *capfd.readouterr())

    return call


@pytest.fixture
def bucket_of_one(minio: Any) -> str:
    """A bucket that nobody else uses."""
    name = f"rights-{uuid.uuid4().hex[:12]}"
    minio.client().create_bucket(Bucket=name)
    return name


def policy(role: str, bucket: str) -> str:
    """Return the policy of a role for a bucket."""
    text = (POLICIES / f"{role}.json").read_text()
    return json.dumps(json.loads(re.sub(r"(?<=arn:aws:s3:::)[a-z-]+", bucket, text)))


@pytest.fixture
def become(minio: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], dict[str, str]]:
    """Go on with a temporary key that has the rights of a role on a bucket, and no others."""

    def become(role: str, bucket: str) -> dict[str, str]:
        key = minio.client("sts").assume_role(
            RoleArn="arn:aws:iam::000000000000:role/any", RoleSessionName=role, Policy=policy(role, bucket)
        )["Credentials"]
        environment = {
            **minio.environment,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_SESSION_TOKEN": key["SessionToken"],
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return environment

    return become


class ThingConfig(Config):
    """A question without a meaning."""

    name: str = "a"


THING = Kind(
    "thing",
    1,
    "An artifact with a payload of every form, to be spoilt.",
    {
        "rows": Table({"n": Column(pa.int64(), "number"), "text": Column(pa.string(), "text")}),
        "vectors": Table({"v": Column(VECTOR, "vector")}),
        "arrays": Arrays(None),
        "weights": Arrays({"w": Array("float32", ("n",), "weights")}),
        "page": File(".html", "page"),
    },
    partition=("name",),
)


def build_thing(attempt: Attempt) -> None:
    attempt.write_table("rows", pl.DataFrame({"n": [1, 2], "text": ["a", "b"]}))
    attempt.write_table("vectors", pl.DataFrame({"v": np.ones((2, 3), np.float32)}))
    attempt.write_arrays("arrays", {"x": np.arange(3.0)})
    attempt.write_arrays("weights", {"w": np.ones(2, np.float32)})
    attempt.write_file("page", b"<p>")


def make_thing(store: ArtifactStore, name: str = "a") -> ArtifactRef:
    """Make an artifact that has a payload of every form."""
    return store.make(THING, ThingConfig(name=name), build_thing).ref


def spoil(store: ArtifactStore, ref: ArtifactRef, payload: str, data: bytes, *, signed: bool) -> None:
    """Put other bytes into a payload, as somebody who may write there, and sign for them if asked to."""
    located, manifest = store.located(ref, payload), store.manifest(ref)
    store.backend.replace(located.key, data)
    if signed:
        said = located.payload.model_copy(
            update={"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        )
        changed = manifest.model_copy(update={"payloads": {**manifest.payloads, payload: said}})
        store.backend.replace(f"{store.key(ref)}/{MANIFEST}", encode(changed))


class Things(NamedTuple):
    """What the tests do with things."""

    make: Callable[..., ArtifactRef] = make_thing
    spoil: Callable[..., None] = spoil
    kind: Kind = THING
    config: type[Config] = ThingConfig
    build: Callable[[Attempt], None] = build_thing


@pytest.fixture
def things() -> Things:
    """Artifacts to be spoilt."""
    return Things()


@pytest.fixture
def thing_store(tmp_path: Path) -> ArtifactStore:
    """A store on disk for things."""
    return open_store(str(tmp_path / "things"))

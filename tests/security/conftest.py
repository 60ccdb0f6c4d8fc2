"""What the tests of threats share: commands called as a person types them, keys with few rights."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flows import cli

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
    return json.dumps(json.loads(text.replace("arn:aws:s3:::inception-loop", f"arn:aws:s3:::{bucket}")))


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

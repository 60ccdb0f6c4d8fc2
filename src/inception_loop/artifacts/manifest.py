"""The manifest: the one object that makes an attempt an artifact, and says what it is made of."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inception_loop.artifacts.provenance import Process
from inception_loop.errors import ArtifactCorruptError

FORMAT = 1
# Names that are put together to a key: nothing in them may lead elsewhere, whoever wrote the manifest.
_OBJECT = r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9]+)+$"
_ATTEMPT = r"^[0-9a-f]{16}$"
_KIND = r"^[a-z][a-z0-9_]*$"
_DIGEST = r"^[0-9a-f]{64}$"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer project may say more


class Payload(_Part):
    """One payload as it was written."""

    object: str = Field(pattern=_OBJECT, description="File name inside the attempt's folder.")
    form: Literal["table", "arrays", "file"]
    schema_version: int = Field(description="Version of the declared schema that it was written in.")
    size: int = Field(description="Bytes.")
    sha256: str
    rows: int | None = Field(default=None, description="Rows of a table.")
    columns: dict[str, str] | None = Field(default=None, description="Arrow type of each column of a table.")
    shapes: dict[str, list[int]] | None = Field(default=None, description="Shape of each member of a bundle.")
    dtypes: dict[str, str] | None = Field(default=None, description="Dtype of each member of a bundle.")


class InputRecord(_Part):
    """One artifact that was read, with the bytes that it had."""

    kind: str = Field(pattern=_KIND)
    digest: str = Field(pattern=_DIGEST)
    key: str = Field(description="Its folder, relative to the root of the store.")
    payloads: dict[str, str] = Field(description="SHA-256 of each payload, by payload name.")


class Replaced(_Part):
    """An earlier attempt at the same address that was withdrawn, and why."""

    attempt: str
    reason: str
    payloads: dict[str, str] = Field(description="SHA-256 that its manifest named, by payload name.")


class Manifest(_Part):
    """What a committed artifact is.

    Attributes
    ----------
    config
        The whole configuration, defaults included.
    question
        Its canonical form, which the digest is made of.
    inputs
        Role → the artifacts read in that role, in order.
    payloads
        Payload name → what was written.
    findings
        Small numbers and texts that the step reported (counts of named policies, warnings).
    started, finished
        ISO 8601 in UTC by the computing host's clock.
    """

    format: int = FORMAT
    kind: str = Field(pattern=_KIND)
    version: int = Field(description="Step version of the kind.")
    digest: str = Field(pattern=_DIGEST)
    attempt: str = Field(pattern=_ATTEMPT)
    config: dict[str, Any]
    question: dict[str, Any]
    inputs: dict[str, list[InputRecord]]
    payloads: dict[str, Payload]
    findings: dict[str, Any]
    seed: int | None
    device: str
    threads: int
    versions: dict[str, str]
    process: Process
    lease_generation: int
    started: str
    finished: str
    seconds: float
    replaces: list[Replaced] = []


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as readable JSON that ends in a SHA-256 of itself."""
    body = manifest.model_dump(mode="json")
    return _text({**body, "manifest_sha256": _checksum(body)}).encode()


def decode(data: bytes, where: str) -> Manifest:
    """Read a manifest and check that not a bit of it has changed.

    Raises
    ------
    ArtifactCorruptError
        If it is no manifest, is damaged, or was written by a newer project.
    """
    try:
        body = json.loads(data)
        if _text(body).encode() != data or body.pop("manifest_sha256") != _checksum(body):
            raise ValueError("its bytes have changed")
        if body["format"] > FORMAT:
            raise ValueError(f"format {body['format']} is newer than {FORMAT}")
        return Manifest.model_validate(body)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, ValidationError) as error:
        reason = "it lacks or misspells a field" if isinstance(error, (ValidationError, KeyError)) else error
        raise ArtifactCorruptError(
            f"the manifest {where} is not to be trusted ({reason}); verify the store, "
            "then repair the artifact"
        ) from error


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(_text(body).encode()).hexdigest()


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

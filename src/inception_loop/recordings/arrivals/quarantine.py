"""Bad recordings: what was wrong with which bytes, so that they are not tried again until they change."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inception_loop.artifacts.backend import Backend
from inception_loop.recordings.arrivals.looks import folder_key


class Quarantined(BaseModel):
    """Why a recording is not tried again."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer project may say more

    path: str = Field(description="Where it lay.")
    scan: str = Field(description="What it is of, by its name.")
    sha256: str = Field(description="SHA-256 of its bytes and of the rules beside it.")
    error: str = Field(description="What was wrong, in one line.")
    time: str = Field(description="When it was tried, ISO 8601 in UTC by the store's clock.")


def quarantine(
    backend: Backend, folder: str, name: str, *, path: str, scan: str, sha256: str, error: str, now: float
) -> Quarantined:
    """Put a recording into quarantine.

    Parameters
    ----------
    backend
        The store's place.
    folder, name
        The watched folder and the name of the recording in it.
    path, scan, sha256, error
        As in `Quarantined`.
    now
        s since 1970 by the store's clock.
    """
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    record = Quarantined(path=path, scan=scan, sha256=sha256, error=" ".join(error.split()), time=time)
    backend.replace(_key(folder, name), record.model_dump_json(indent=1).encode())
    return record


def quarantined(backend: Backend, folder: str, name: str) -> Quarantined | None:
    """Return why a recording is in quarantine; None if it is not, or the record is damaged."""
    data = backend.read(_key(folder, name))
    try:
        return None if data is None else Quarantined.model_validate_json(data)
    except ValidationError:
        return None


def release(backend: Backend, folder: str, name: str) -> None:
    """End a quarantine: the recording was imported, or is gone."""
    if backend.size(_key(folder, name)) is not None:
        backend.remove([_key(folder, name)])


def _key(folder: str, name: str) -> str:
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]  # a name may hold what no key may
    return f"{folder_key(folder)}/quarantine/{digest}.json"

"""What went wrong and was told already: nobody has to hear of it again until it changes."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict, ValidationError

from inception_loop.artifacts.backend import Backend
from inception_loop.recordings.arrivals.looks import ARRIVALS


class Told(BaseModel):
    """A fault that was told."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer project may say more

    what: str
    error: str
    cause: str = ""
    time: float


def told(backend: Backend, what: str) -> Told | None:
    """Return the fault of something that was told; None if there is none, or the record is damaged."""
    data = backend.read(_key(what))
    try:
        return None if data is None else Told.model_validate_json(data)
    except ValidationError:
        return None


def remember(backend: Backend, what: str, error: str, cause: str, time: float) -> None:
    """Remember a fault.

    Parameters
    ----------
    backend
        The store's place.
    what
        What failed.
    error
        Why, in one line.
    cause
        Digest of what it failed with, if that is to blame: with the same it would fail again. Else empty.
    time
        When it was told, s by the store's clock.
    """
    record = Told(what=what, error=error, cause=cause, time=time)
    backend.replace(_key(what), record.model_dump_json(indent=1).encode())


def forget(backend: Backend, what: str) -> None:
    """Forget a fault: it is over."""
    backend.remove([_key(what)])


def _key(what: str) -> str:
    return f"{ARRIVALS}/told/{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"

"""Taking a damaged artifact back: a note of what stood there first, then the manifest goes."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from inception_loop.artifacts import manifest as manifests
from inception_loop.artifacts.address import MANIFEST
from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.manifest import Replaced
from inception_loop.errors import ArtifactCorruptError, ArtifactExistsError

WITHDRAWN = "_withdrawn"


def withdraw(backend: Backend, folder: str, reason: str) -> None:
    """Remove the manifest of an artifact; the next attempt there names what it replaces.

    The note is written before the manifest goes, so that a kill in between forgets nothing.

    Parameters
    ----------
    backend
        The store's place.
    folder
        The artifact's folder, relative to the root.
    reason
        What was found wrong.
    """
    data = backend.read(f"{folder}/{MANIFEST}")
    if data is None:
        return
    note = _note(data, backend.url(folder), reason)
    with suppress(ArtifactExistsError):  # an earlier withdrawal of the same attempt was cut short
        backend.create(f"{folder}/{WITHDRAWN}/{note.attempt}.json", note.model_dump_json().encode())
    backend.remove([f"{folder}/{MANIFEST}"])


def withdrawn(backend: Backend, folder: str) -> list[Replaced]:
    """Return the attempts that were withdrawn from an artifact's folder."""
    notes = [backend.read(entry.key) for entry in backend.walk(f"{folder}/{WITHDRAWN}")]
    return [Replaced.model_validate_json(note) for note in notes if note is not None]


def _note(data: bytes, where: str, reason: str) -> Replaced:
    try:
        manifest = manifests.decode(data, where)
    except ArtifactCorruptError:
        unreadable = f"unreadable-{hashlib.sha256(data).hexdigest()[:12]}"
        return Replaced(attempt=unreadable, reason=reason, payloads={})
    hashes = {name: payload.sha256 for name, payload in manifest.payloads.items()}
    return Replaced(attempt=manifest.attempt, reason=reason, payloads=hashes)

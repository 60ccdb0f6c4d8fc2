"""Whether what stands at an address is what its manifest and its address say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inception_loop.artifacts import identity
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError

if TYPE_CHECKING:
    from inception_loop.artifacts.store import ArtifactStore


class Unsound(NamedTuple):
    """A standing artifact whose bytes are not to be trusted: its attempt (empty: unreadable) and why."""

    attempt: str
    reason: str


def faults(store: ArtifactStore, ref: ArtifactRef, *, hashes: bool = True) -> list[str]:
    """Return what is wrong with an artifact, one line each; nothing if it is sound.

    Parameters
    ----------
    store, ref
        Where and what.
    hashes
        Whether to read every payload and compare its SHA-256; otherwise only sizes are compared.

    Raises
    ------
    ArtifactNotFoundError
        If no artifact stands there.
    """
    try:
        manifest = store.manifest(ref)
    except ArtifactCorruptError as error:
        return [str(error)]
    digests = {role: [record.digest for record in records] for role, records in manifest.inputs.items()}
    found = []
    if identity.digest(manifest.kind, manifest.version, manifest.question, digests) != ref.digest:
        found.append(f"the manifest of {ref} asks another question than its address; repair the artifact")
    for name in manifest.payloads:
        located = store.located(ref, name)
        try:
            store.reader.check_size(located)
            if hashes:
                store.reader.check_hash(located)
        except (ArtifactCorruptError, ArtifactNotFoundError) as error:
            found.append(str(error))
    return found


def unsound(store: ArtifactStore, ref: ArtifactRef) -> Unsound | None:
    """Return what stands unsound at an address; None if it is sound or nothing stands there."""
    try:
        found = faults(store, ref)
    except ArtifactNotFoundError:
        return None
    if not found:
        return None
    try:
        return Unsound(store.manifest(ref).attempt, "; ".join(found))
    except ArtifactCorruptError:
        return Unsound("", "; ".join(found))


def settled(store: ArtifactStore, ref: ArtifactRef, broken: Unsound | None) -> bool:
    """Tell whether an artifact stands, other than the one that was found broken.

    Raises
    ------
    ArtifactCorruptError
        If its manifest is damaged and that was not known before.
    """
    try:
        standing = store.manifest(ref).attempt
    except ArtifactNotFoundError:
        return False
    except ArtifactCorruptError:
        if broken is None:
            raise
        return False
    return broken is None or standing != broken.attempt

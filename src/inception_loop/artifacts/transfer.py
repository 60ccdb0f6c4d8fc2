"""Copying artifacts to another store, with all that they were made from."""

from __future__ import annotations

import uuid
from graphlib import TopologicalSorter

from inception_loop.artifacts.address import MANIFEST
from inception_loop.artifacts.lineage import ancestors
from inception_loop.artifacts.manifest import encode
from inception_loop.artifacts.reading import Located
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.errors import ArtifactExistsError


def copy(source: ArtifactStore, target: ArtifactStore, ref: ArtifactRef) -> list[Outcome]:
    """Copy an artifact and everything that it was made from, inputs first; bytes are checked on the way.

    Returns
    -------
    list of Outcome
        The references in the target, ``cached`` where an artifact stood there already.

    Raises
    ------
    ArtifactCorruptError
        If a payload is not what its manifest names; its manifest is not copied then.
    ArtifactNotFoundError
        If the artifact or one of its inputs does not stand in the source.
    """
    order: TopologicalSorter[ArtifactRef] = TopologicalSorter({ref: ()})
    for link in ancestors(source, ref):
        order.add(link.child, link.parent)
    return [_copy_one(source, target, one) for one in order.static_order()]


def _copy_one(source: ArtifactStore, target: ArtifactStore, ref: ArtifactRef) -> Outcome:
    folder = source.key(ref)
    there = ArtifactRef(kind=ref.kind, digest=ref.digest, uri=target.backend.url(folder))
    if target.exists(there):
        return Outcome(there, cached=True)
    # An attempt of its own: two copies under way at once share no object but the manifest.
    manifest = source.manifest(ref)
    attempt = uuid.uuid4().hex[:16]
    for name, payload in manifest.payloads.items():
        _copy_payload(source, target, source.located(ref, name), f"{folder}/{attempt}/{payload.object}")
    try:
        copied = manifest.model_copy(update={"attempt": attempt})
        target.backend.create(f"{folder}/{MANIFEST}", encode(copied))
    except ArtifactExistsError:
        return Outcome(there, cached=target.manifest(there).attempt != attempt)
    return Outcome(there, cached=False)


def _copy_payload(source: ArtifactStore, target: ArtifactStore, located: Located, key: str) -> None:
    with target.backend.writer(key) as sink:
        for piece in source.reader.hashed(located):
            sink.write(piece)

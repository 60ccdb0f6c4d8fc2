"""Copying artifacts to another store, with all that they were made from."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter
from typing import NamedTuple

from inception_loop.artifacts.address import MANIFEST
from inception_loop.artifacts.lineage import ancestors, manifests
from inception_loop.artifacts.manifest import Manifest, encode
from inception_loop.artifacts.reading import Located
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.errors import ArtifactCorruptError, ArtifactExistsError, ArtifactNotFoundError

WRITERS = 8
"""Artifacts copied at a time: most are small, and wait for the network."""


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


class Copied(NamedTuple):
    """What copying a whole store did.

    Attributes
    ----------
    copied, there
        Artifacts copied, and those that stood in the target already.
    faults
        Artifacts that were left out, since they are not what their manifests name, and why.
    """

    copied: int
    there: int
    faults: dict[ArtifactRef, str]


def copy_all(
    source: ArtifactStore,
    target: ArtifactStore,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Copied:
    """Copy every artifact of a store, inputs first; bytes are checked on the way.

    What stands in the target already is passed over, so that a copy that was cut short goes on when it is
    started again. Leases, checkpoints, and what runs told of themselves stay behind.

    Parameters
    ----------
    source, target
        From where to where.
    on_progress
        Receives how many artifacts are through, and of how many.
    """
    order: TopologicalSorter[ArtifactRef] = TopologicalSorter()
    faults: dict[ArtifactRef, str] = {}
    standing = dict(manifests(source))
    for ref, manifest in standing.items():
        if isinstance(manifest, Manifest):
            inputs = [source.ref_of(record) for records in manifest.inputs.values() for record in records]
            order.add(ref, *(one for one in inputs if isinstance(standing.get(one), Manifest)))
        else:
            faults[ref] = f"its manifest is {manifest}"
    total, done, copied, there = len(standing) - len(faults), 0, 0, 0
    del standing  # of a large store they are much, and the copies take long
    order.prepare()
    with ThreadPoolExecutor(WRITERS, "copy") as pool:
        while order.is_active():
            ready = order.get_ready()
            for ref, outcome in zip(
                ready, pool.map(lambda one: _try(source, target, one), ready), strict=True
            ):
                if isinstance(outcome, str):
                    faults[ref] = outcome
                else:
                    copied, there = copied + (not outcome.cached), there + outcome.cached
                done += 1
                on_progress(done, total)
            order.done(*ready)
    return Copied(copied, there, faults)


def _try(source: ArtifactStore, target: ArtifactStore, ref: ArtifactRef) -> Outcome | str:
    try:
        return _copy_one(source, target, ref)
    except (ArtifactCorruptError, ArtifactNotFoundError) as error:
        return str(error)


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

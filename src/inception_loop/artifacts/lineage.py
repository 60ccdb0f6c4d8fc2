"""Where an artifact comes from and what was made from it, by the bytes that were really read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, NamedTuple

from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.manifest import InputRecord, Manifest
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError

State = Literal["same bytes", "other bytes", "gone", "damaged"]
READERS = 16  # manifests read at a time: each is one small request


class Link(NamedTuple):
    """One artifact was read to make another.

    Attributes
    ----------
    child, role, parent
        ``child`` read ``parent`` in this role.
    state
        Whether the parent's payloads are still the bytes that the child was made from.
    depth
        Steps from the artifact that was asked about, 1 for its neighbours.
    """

    child: ArtifactRef
    role: str
    parent: ArtifactRef
    state: State
    depth: int


def ancestors(store: ArtifactStore, ref: ArtifactRef) -> list[Link]:
    """Return everything that an artifact was made from, nearest first; each artifact is opened once.

    Raises
    ------
    ArtifactNotFoundError
        If the artifact itself does not stand.
    """
    links: list[Link] = []
    seen, queue = {ref}, deque([(ref, store.manifest(ref), 1)])
    while queue:
        child, manifest, depth = queue.popleft()
        for role, record in _records(manifest):
            parent = store.ref_of(record)
            standing = _manifest(store, parent)
            links.append(Link(child, role, parent, state_of(record, standing), depth))
            if isinstance(standing, Manifest) and parent not in seen:
                seen.add(parent)
                queue.append((parent, standing, depth + 1))
    return links


def descendants(store: ArtifactStore, ref: ArtifactRef) -> list[Link]:
    """Return everything that was made from an artifact, nearest first. Reads every manifest of the store."""
    standing = _manifest(store, ref)
    found = dict(manifests(store))
    children: dict[str, list[tuple[ArtifactRef, str, InputRecord]]] = {}
    for child, manifest in found.items():
        for role, record in _records(manifest) if isinstance(manifest, Manifest) else ():
            children.setdefault(record.key, []).append((child, role, record))
    links: list[Link] = []
    seen, queue = {ref}, deque([(ref, standing, 1)])
    while queue:
        parent, standing, depth = queue.popleft()
        for child, role, record in children.get(store.key(parent), []):
            links.append(Link(child, role, parent, state_of(record, standing), depth))
            if child not in seen:
                seen.add(child)
                queue.append((child, found[child], depth + 1))
    return links


def state_of(record: InputRecord, standing: Manifest | State) -> State:
    """Tell whether an input still has the bytes that were read."""
    if not isinstance(standing, Manifest):
        return standing
    now = {name: payload.sha256 for name, payload in standing.payloads.items()}
    return "same bytes" if now == record.payloads else "other bytes"


def manifests(
    store: ArtifactStore, refs: Iterable[ArtifactRef] | None = None
) -> Iterator[tuple[ArtifactRef, Manifest | State]]:
    """Yield every artifact (or those given) with its manifest, or what is wrong with it."""
    wanted = (listed.ref for listed in artifacts(store)) if refs is None else refs
    with ThreadPoolExecutor(READERS, "manifests") as pool:
        waiting: deque[tuple[ArtifactRef, Future[Manifest | State]]] = deque()
        for ref in wanted:
            waiting.append((ref, pool.submit(_manifest, store, ref)))
            if len(waiting) > 4 * READERS:
                yield _done(waiting)
        while waiting:
            yield _done(waiting)


def _done(
    waiting: deque[tuple[ArtifactRef, Future[Manifest | State]]],
) -> tuple[ArtifactRef, Manifest | State]:
    ref, future = waiting.popleft()
    return ref, future.result()


def _records(manifest: Manifest) -> Iterator[tuple[str, InputRecord]]:
    for role, records in manifest.inputs.items():
        for record in records:
            yield role, record


def _manifest(store: ArtifactStore, ref: ArtifactRef) -> Manifest | State:
    try:
        return store.manifest(ref)
    except ArtifactNotFoundError:
        return "gone"
    except ArtifactCorruptError:
        return "damaged"

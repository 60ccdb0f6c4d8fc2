"""Looking after a store: verify, withdraw, take back, sweep."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple

from inception_loop.artifacts.address import CHECKPOINTS, LEASES
from inception_loop.artifacts.backend import Entry
from inception_loop.artifacts.disk import TEMPORARY
from inception_loop.artifacts.lease import is_held
from inception_loop.artifacts.lineage import Link, descendants, manifests, state_of
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.manifest import Manifest
from inception_loop.artifacts.probing import PROBES
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.soundness import faults, unsound
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.artifacts.withdrawal import withdraw as withdraw_manifest
from inception_loop.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    ConfigurationError,
)

DAY_S = 86_400.0
_ATTEMPT = re.compile(r"(?P<folder>[a-z][^/]*(?:/.+)?/(?P<digest>[0-9a-f]{64}))/(?P<attempt>[0-9a-f]{16})/.+")
_LEASE = re.compile(rf"(?P<folder>{LEASES}/[^/]+/[0-9a-f]{{64}})/.+")
_CHECKPOINT = re.compile(rf"(?P<folder>{CHECKPOINTS}/[^/]+/[0-9a-f]{{64}})/.+")
_TEMPORARY = re.compile(rf"(?:.+/)?{re.escape(TEMPORARY)}[0-9a-f]{{32}}|{PROBES}/[0-9a-f]{{32}}")


class Fault(NamedTuple):
    """An artifact that is not sound, and why in one line each."""

    ref: ArtifactRef
    faults: list[str]


class Verification(NamedTuple):
    """What a verification found.

    Attributes
    ----------
    checked
        Artifacts examined.
    faults
        Those that are not sound.
    stale
        Inputs that no longer have the bytes that a standing artifact was made from, and what came of that.
    """

    checked: int
    faults: list[Fault]
    stale: list[Link]

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return not self.faults and not self.stale


def verify(
    store: ArtifactStore,
    ref: ArtifactRef | None = None,
    *,
    hashes: bool = True,
    on_progress: Callable[[int, ArtifactRef], None] | None = None,
) -> Verification:
    """Check one artifact or all of them against their manifests; changes nothing.

    Parameters
    ----------
    store
        The store.
    ref
        The artifact, None for all. With one, what was made from it is examined too.
    hashes
        Whether to read every payload; otherwise only sizes are compared.
    on_progress
        Receives the number of artifacts examined so far, and the one that comes next.

    Raises
    ------
    ArtifactNotFoundError
        If the one artifact does not stand.
    """
    checked, found = 0, []
    for one in [ref] if ref is not None else (listed.ref for listed in artifacts(store)):
        if on_progress is not None:
            on_progress(checked, one)
        wrong = faults(store, one, hashes=hashes)
        checked += 1
        if wrong:
            found.append(Fault(one, wrong))
    return Verification(checked, found, _stale(store, ref))


def _stale(store: ArtifactStore, ref: ArtifactRef | None) -> list[Link]:
    if ref is not None:
        return _built_on_others(descendants(store, ref))
    standing = dict(manifests(store))
    links = [
        Link(child, role, parent, state_of(record, standing.get(parent, "gone")), 1)
        for child, manifest in standing.items()
        if isinstance(manifest, Manifest)
        for role, records in manifest.inputs.items()
        for record in records
        for parent in [store.ref_of(record)]
    ]
    return _built_on_others(links)


def _built_on_others(links: list[Link]) -> list[Link]:
    """Return the links to other bytes, and those to artifacts that are themselves built on other bytes."""
    tainted = {link.child for link in links if link.state != "same bytes"}
    while True:
        more = {link.child for link in links if link.parent in tainted} - tainted
        if not more:
            return [link for link in links if link.state != "same bytes" or link.parent in tainted]
        tainted |= more


def withdraw(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    """Take an unsound artifact back, so that the next run of its step makes it anew.

    The manifest goes; what the next attempt replaces is remembered. To make it anew at once, give
    ``repair=True`` to the step's `ArtifactStore.make`.

    Returns
    -------
    list of str
        What was wrong; empty if the artifact is sound, and then nothing was done.
    """
    broken = unsound(store, ref)
    if broken is None:
        return []
    lease = store.reserve(ref, lambda: unsound(store, ref) != broken)
    if lease is not None:
        with lease:
            if unsound(store, ref) == broken:  # not mended between the last look and the claim
                withdraw_manifest(store.backend, store.key(ref), broken.reason)
    return [broken.reason]


def take_back(store: ArtifactStore, ref: ArtifactRef, because: str) -> bool:
    """Take a sound artifact back that nothing was made from, so that its question is asked anew.

    The manifest goes; what the next attempt replaces, and why, is remembered.

    Parameters
    ----------
    store, ref
        Where and what.
    because
        Why.

    Returns
    -------
    Whether it stood.

    Raises
    ------
    ConfigurationError
        If another artifact was made from it, or no reason is given.
    """
    if not because.strip():
        raise ConfigurationError(f"{ref} is to be taken back without a reason; expected one; say why")
    if not store.exists(ref):
        return False
    children = [link.child for link in descendants(store, ref)]
    if children:
        raise ConfigurationError(
            f"{ref} cannot be taken back: {len(children)} artifacts were made from it, as {children[0]}; "
            "expected none; bump the version of its step instead"
        )
    standing = store.manifest(ref).attempt

    def gone() -> bool:
        return not store.exists(ref) or store.manifest(ref).attempt != standing

    lease = store.reserve(ref, gone)
    if lease is None:
        return False
    with lease:
        if gone():  # between the last look and the claim
            return False
        withdraw_manifest(store.backend, store.key(ref), because)
    return True


class Swept(NamedTuple):
    """What a sweep removed (or would remove): keys of objects, their bytes, uploads that nobody ended."""

    keys: list[str]
    size: int
    uploads: int


def sweep(store: ArtifactStore, *, older_than_s: float = DAY_S, dry_run: bool = False) -> Swept:
    """Remove what no manifest names, no live lease holds and nobody touched for a day.

    Ages are by the store's clock, which stamped the objects; this machine's clock plays no part. That is
    attempts of dead or late writers, leases that are done, checkpoints that nobody goes on from, temporary
    files and unfinished uploads.

    Parameters
    ----------
    store
        The store.
    older_than_s
        Age in s from which something counts as left behind.
    dry_run
        Only tell.
    """
    before = store.backend.now() - older_than_s
    old = [
        entry
        for folder, entries in groupby(store.backend.walk(), key=_unit)
        for entry in _left_behind(store, folder, list(entries), before)
    ]
    keys = [entry.key for entry in old]
    if not dry_run:
        store.backend.remove(keys)
    uploads = 0 if dry_run else store.backend.tidy(before)
    return Swept(keys, sum(entry.size for entry in old), uploads)


def _unit(entry: Entry) -> str:
    """Return what an object stands or falls with: its attempt, its lease, itself; empty for what stays."""
    if _TEMPORARY.fullmatch(entry.key):
        return entry.key
    if match := _ATTEMPT.fullmatch(entry.key):
        return f"{match['folder']}/{match['attempt']}"
    for scratch in (_LEASE, _CHECKPOINT):
        if match := scratch.fullmatch(entry.key):
            return match["folder"]
    return ""


def _left_behind(store: ArtifactStore, unit: str, entries: list[Entry], before: float) -> Iterator[Entry]:
    if not unit or any(entry.modified >= before for entry in entries):
        return
    if _TEMPORARY.fullmatch(unit):
        yield from entries
    elif unit.startswith(f"{LEASES}/"):
        # Silent for a day: over, whatever its owner was. The owner's mark goes last but one, so that a sweep
        # cut short never leaves a generation that looks alive.
        yield from sorted(entries, key=lambda entry: (entry.key.endswith(".done"), entry.key))
    elif unit.startswith(f"{CHECKPOINTS}/"):
        # An epoch may take longer than a day: its worker gives signs of life on the lease.
        if not _at_work(store, unit.replace(CHECKPOINTS, LEASES, 1), before):
            yield from entries
    elif _nobody_needs(store, unit, before):
        yield from entries


def _nobody_needs(store: ArtifactStore, unit: str, before: float) -> bool:
    folder, _, attempt = unit.rpartition("/")
    levels = folder.split("/")
    if _at_work(store, f"{LEASES}/{levels[0]}/{levels[-1]}", before):
        return False
    ref = ArtifactRef(kind=levels[0], digest=levels[-1], uri=store.backend.url(folder))
    try:
        return store.manifest(ref).attempt != attempt
    except ArtifactNotFoundError:
        return True
    except ArtifactCorruptError:
        return False  # it cannot say which attempt it means


def _at_work(store: ArtifactStore, lease: str, before: float) -> bool:
    """Tell whether the holder of a lease gave a sign of life after a time."""
    return is_held(store.backend, lease) and any(
        entry.modified >= before for entry in store.backend.walk(lease)
    )

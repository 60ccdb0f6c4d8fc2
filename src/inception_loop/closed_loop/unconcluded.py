"""Which later days still wait for their comparison: no report of an evidence shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from inception_loop.artifacts.lineage import manifests
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.manifest import Manifest
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.unfinished import SHOWN, is_later_day, recorded

REPORT, EVIDENCE, RECORDING = "report", "evidence", "recording"


class Unconcluded(NamedTuple):
    """Later days that no report shows, of each scan the newest recording.

    Attributes
    ----------
    waiting
        Those that can be compared, in the order of their scans.
    without_set
        Those whose stimulus set is not in the store.
    """

    waiting: tuple[ArtifactRef, ...]
    without_set: tuple[ArtifactRef, ...]


def unconcluded(store: ArtifactStore) -> Unconcluded:
    """Find the later days that nobody has concluded, whatever the reason.

    No payload is read. It costs the manifest of every recording, of every set that a later day showed, and
    of the reports of their loops from the newest on, until all its days are found.
    """
    newest: dict[ScanKey, tuple[ArtifactRef, ArtifactRef | None]] = {}
    for ref, manifest in recorded(store):
        if is_later_day(manifest):
            newest[ScanKey.model_validate(manifest.config["scan"])] = (ref, _shown(store, manifest))
    in_order = [newest[scan] for scan in sorted(newest, key=lambda scan: tuple(scan.model_dump().values()))]
    loops = _loops(store, {shown for _, shown in in_order if shown is not None})
    without = tuple(ref for ref, shown in in_order if shown not in loops)
    by_loop: dict[int, list[ArtifactRef]] = {}
    for ref, shown in in_order:
        if shown in loops:
            by_loop.setdefault(loops[shown], []).append(ref)
    waiting = {ref for loop, days in by_loop.items() for ref in _unreported(store, loop, days)}
    return Unconcluded(tuple(ref for ref, _ in in_order if ref in waiting), without)


def _shown(store: ArtifactStore, manifest: Manifest) -> ArtifactRef | None:
    records = (record for role in SHOWN for record in manifest.inputs.get(role, ()))
    return next((store.ref_of(record) for record in records), None)


def _loops(store: ArtifactStore, sets: Iterable[ArtifactRef]) -> dict[ArtifactRef | None, int]:
    """Return the loop of every stimulus set that stands."""
    found = manifests(store, sets)
    return {ref: int(one.config["loop_group"]) for ref, one in found if isinstance(one, Manifest)}


def _unreported(store: ArtifactStore, loop: int, days: list[ArtifactRef]) -> set[ArtifactRef]:
    """Return those of a loop's later days that none of its reports shows."""
    left = set(days)
    for shown in _reports(store, loop):
        left -= shown
        if not left:
            break
    return left


def _reports(store: ArtifactStore, loop: int) -> Iterator[set[ArtifactRef]]:
    """Yield the recordings of every report of a loop's evidence, the newest first."""
    listed = artifacts(store, REPORT, f"loop_group={loop}")
    for one in sorted(listed, key=lambda one: (one.modified, one.ref.digest), reverse=True):
        for _, manifest in manifests(store, [one.ref]):  # what is damaged shows nothing
            if isinstance(manifest, Manifest) and manifest.inputs.get(EVIDENCE):
                yield {store.ref_of(record) for record in manifest.inputs.get(RECORDING, ())}

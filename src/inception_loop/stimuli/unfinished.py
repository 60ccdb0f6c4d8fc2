"""Which first days still wait for their images: no stimulus set that was made of them is any target."""

from __future__ import annotations

from collections.abc import Iterator

from inception_loop.artifacts.lineage import manifests
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.manifest import Manifest
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.target_group import TARGET_STATIC_GROUP_ID

SHOWN = ("stimulus_set", "stimulus")
"""Roles of the set that a recording showed: recognised in its files, or shown to a digital animal."""


def is_later_day(manifest: Manifest) -> bool:
    """Whether a recording is of a day that showed a stimulus set."""
    return any(manifest.inputs.get(role) for role in SHOWN) or bool(manifest.config.get("export"))


def recorded(store: ArtifactStore) -> Iterator[tuple[ArtifactRef, Manifest]]:
    """Yield every recording that can be read with its manifest, the oldest first; no payload is opened."""
    listed = sorted(artifacts(store, "recording"), key=lambda one: (one.modified, one.ref.digest))
    for ref, manifest in manifests(store, [one.ref for one in listed]):
        if isinstance(manifest, Manifest):
            yield ref, manifest


def unfinished(store: ArtifactStore) -> dict[int, tuple[ArtifactRef, ...]]:
    """Return the recordings of first days without a target, by animal; of each scan the newest.

    What a night was killed over is unfinished, so that the next one goes on with it.
    """
    done = targeted(store)
    newest: dict[ScanKey, ArtifactRef] = {}
    for ref, manifest in recorded(store):
        if not is_later_day(manifest):
            newest[ScanKey.model_validate(manifest.config["scan"])] = ref
    found: dict[int, list[ArtifactRef]] = {}
    for scan, ref in sorted(newest.items(), key=lambda item: tuple(item[0].model_dump().values())):
        if ref not in done:
            found.setdefault(scan.animal_id, []).append(ref)
    return {animal: tuple(refs) for animal, refs in found.items()}


def targeted(store: ArtifactStore) -> set[ArtifactRef]:
    """Return the recordings whose networks made images of a stimulus set that was named as a target."""
    sets = {store.inputs(one.ref)["stimulus_set"][0] for one in artifacts(store, TARGET_STATIC_GROUP_ID.name)}
    selections = set()
    for shown in sets:
        for fill in store.inputs(shown)["stimulus_fill"]:
            selections.update(store.inputs(fill)["corrected_high_unit_selection"])
    datasets = {ref for selection in selections for ref in store.inputs(selection)["dataset"]}
    tiers = {ref for dataset in datasets for ref in store.inputs(dataset)["condition_tier"]}
    return {ref for tier in tiers for ref in store.inputs(tier)["recordings"]}

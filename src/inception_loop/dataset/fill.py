"""What there is to work on: the data configurations of a dataset, the groups of the scans at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.config import EVERY, CorrectedAreaLayer, DatasetConfig
from inception_loop.dataset.multi_dataset import STATIC_MULTI_DATASET
from inception_loop.dataset.stage import by_scan
from inception_loop.dataset.tiers import natural_conditions, shown_conditions
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import ScanKey


class Group(NamedTuple):
    """A StaticMultiDataset to be made.

    Attributes
    ----------
    config
        The rules, with the group's number.
    scans, recordings
        Its members in ascending order, and the recording of each.
    """

    config: DatasetConfig
    scans: tuple[ScanKey, ...]
    recordings: tuple[ArtifactRef, ...]


def fill_data_configs(store: ArtifactStore, dataset: ArtifactRef) -> list[CorrectedAreaLayer]:
    """Enumerate the data configurations that a dataset can be trained with.

    `CorrectedAreaLayer.fill` over the layers and areas that the dataset has, and ``"all"`` of each; without
    those that leave a member without units, and without ``~stimulus.Frame``, of which it has no trial.

    Parameters
    ----------
    dataset
        A ``static_multi_dataset``.
    """
    units = store.table(dataset, "units")
    members = set(units["name"])
    places = [
        (layer, area)
        for layer in [*_values(units, "layer"), EVERY]
        for area in [*_values(units, "brain_area"), EVERY]
        if set(units.filter(_is("layer", layer) & _is("brain_area", area))["name"]) == members
    ]
    layers, areas = (sorted({place[side] for place in places}) for side in (0, 1))
    configs = CorrectedAreaLayer.fill(layers, areas, ["stimulus.Frame"])
    return [config for config in configs if (config.layer, config.brain_area) in places]


def fill_groups(
    store: ArtifactStore, recordings: Sequence[ArtifactRef], base: DatasetConfig | None = None
) -> list[Group]:
    """Enumerate the groups that recordings can be trained as: each scan alone, all scans of an animal.

    Scans that showed synthesised images, or no natural ones, are never trained on and left out. A group keeps
    the number under which the store already has a dataset of the same scans (of several sets under one number
    the largest keeps it: the group was extended); new groups are numbered on, so that no number ever changes
    its meaning. Each is made by ``make_dataset(store, group.config, group.recordings)``, or by the flow
    ``dataset`` with ``DatasetParameters(config=group.config, recordings=group.recordings)``.

    Parameters
    ----------
    recordings
        Artifacts of kind ``recording``, each of another scan, in any order.
    base
        Rules of every group; its ``group_id`` is the lowest number that a new group may get.

    Returns
    -------
    Groups by animal: its scans in ascending order, each alone, then all together if it has several.
    """
    base = base or DatasetConfig(group_id=0)
    usable = {scan: ref for scan, ref in by_scan(store, recordings).items() if _natural(store, ref, base)}
    known = group_numbers(store)
    free = max([base.group_id - 1, *known.values()]) + 1
    groups = []
    for scans in _sets(list(usable)):
        number = known.get(scans, free)
        free += number == free
        config = base.model_copy(update={"group_id": number})
        groups.append(Group(config, scans, tuple(usable[scan] for scan in scans)))
    return groups


def group_numbers(store: ArtifactStore) -> dict[tuple[ScanKey, ...], int]:
    """Return which sets of scans a store has datasets of: scans, ascending → number of the group."""
    members: dict[int, tuple[ScanKey, ...]] = {}
    for listed in artifacts(store, STATIC_MULTI_DATASET.name):
        config = store.manifest(listed.ref).config
        scans = tuple(ScanKey.model_validate(scan) for scan in config["scans"])
        number = int(config["group_id"])
        members[number] = max(members.get(number, ()), scans, key=lambda one: (len(one), str(one)))
    return {scans: number for number, scans in sorted(members.items(), reverse=True)}


def _sets(scans: list[ScanKey]) -> list[tuple[ScanKey, ...]]:
    sets: list[tuple[ScanKey, ...]] = []
    for animal in sorted({scan.animal_id for scan in scans}):
        own = [scan for scan in scans if scan.animal_id == animal]
        sets += [(scan,) for scan in own]
        sets += [tuple(own)] if len(own) > 1 else []
    return sets


def _natural(store: ArtifactStore, ref: ArtifactRef, base: DatasetConfig) -> bool:
    recording = load_recording(store, ref)  # its tables only
    shown = shown_conditions(recording.trials, recording.conditions)
    return natural_conditions([shown], base.tiers)[0].height > 0


def _values(units: pl.DataFrame, column: str) -> list[str]:
    return units[column].unique().sort().to_list()


def _is(column: str, value: str) -> pl.Expr:
    return pl.lit(True) if value == EVERY else pl.col(column) == value

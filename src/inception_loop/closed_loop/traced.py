"""From a later day's recording back to its loop: set, source scan, selection, and its other later days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from inception_loop.animals.truth_archive import ANIMAL_TRUTH
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.config import DatasetConfig
from inception_loop.errors import ConfigurationError
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.unfinished import SHOWN, is_later_day


class TracedDay(NamedTuple):
    """A later day of a loop: recording, what it showed, its truth if known, days since the source scan."""

    recording: ArtifactRef
    stimulus_set: ArtifactRef
    truth: ArtifactRef | None
    day: int


class TracedLoop(NamedTuple):
    """The loop that a later day belongs to.

    Attributes
    ----------
    loop_group, group_id
        Its number, and that of the group of scans that its networks were trained on.
    source, source_truth
        The recording of the source scan; its truth, if known.
    selection, panel
        Which units the images were made for.
    dataset
        What the networks were trained on.
    rules
        How responses were read there.
    later
        Every later day so far, by day.
    """

    loop_group: int
    group_id: int
    source: ArtifactRef
    source_truth: ArtifactRef | None
    selection: ArtifactRef
    panel: ArtifactRef | None
    dataset: ArtifactRef
    rules: DatasetConfig
    later: tuple[TracedDay, ...]


def shown_in(store: ArtifactStore, recording: ArtifactRef) -> ArtifactRef | None:
    """Return the stimulus set that a recording showed; None if it is of a first day, or the set not here."""
    inputs = store.inputs(recording)
    return next((inputs[role][0] for role in SHOWN if inputs.get(role)), None)


def traced_loop(store: ArtifactStore, recording: ArtifactRef) -> TracedLoop:
    """Find the loop of a later day through what everything was made from.

    Raises
    ------
    ConfigurationError
        If the recording is of no later day, or its set is not in the store.
    """
    shown = shown_in(store, recording)
    if shown is None:
        raise ConfigurationError(_no_later_day(recording, is_later_day(store.manifest(recording))))
    loop_group = int(store.manifest(shown).config["loop_group"])
    selection, panel, source = _purpose(store, shown)
    dataset = store.inputs(selection)["dataset"][0]
    group_id = int(store.manifest(dataset).config["group_id"])
    return TracedLoop(
        loop_group=loop_group,
        group_id=group_id,
        source=source,
        source_truth=truth_of(store, source),
        selection=selection,
        panel=panel,
        dataset=dataset,
        rules=response_rules(store, selection, source),
        later=_later_days(store, recording, (selection, panel, source), loop_group),
    )


def _no_later_day(recording: ArtifactRef, exported: bool) -> str:
    if exported:
        return (
            f"{recording} showed an export whose stimulus set is not in this store; expected that set; "
            "copy it here (inception-loop store copy), then import the recording again"
        )
    return (
        f"{recording} is no later day of a loop: it was recognised by no stimulus set; expected one that "
        "showed images of a loop; import it with --stimulus-set or --export, if it did"
    )


def _purpose(store: ArtifactStore, shown: ArtifactRef) -> tuple[ArtifactRef, ArtifactRef | None, ArtifactRef]:
    """Return for which units a set was made, and of which scan."""
    made = store.inputs(shown)
    fill = store.inputs(made["stimulus_fill"][0])
    panel = next(iter(fill.get("truth_panel", ())), None)
    return fill["corrected_high_unit_selection"][0], panel, made["recording"][0]


def response_rules(
    store: ArtifactStore, selection: ArtifactRef, source: ArtifactRef, asked: DatasetConfig | None = None
) -> DatasetConfig:
    """Return how the responses of the source scan were read for the dataset that units were selected on.

    Raises
    ------
    ConfigurationError
        If others are asked for: responses that were read otherwise are no answers to the same question.
    """
    dataset = store.inputs(selection)["dataset"][0]
    group_id = int(store.manifest(dataset).config["group_id"])
    read = DatasetConfig(group_id=group_id, **_read(store, dataset, source))
    for name in RESPONSE_RULES if asked is not None else ():
        wanted, was = getattr(asked, name), getattr(read, name)
        if wanted != was:
            raise ConfigurationError(
                f"dataset.{name} of the later days is {wanted!r}; expected {was!r}, by which {dataset}, on "
                "which units were selected, was made; leave dataset out of the parameters"
            )
    return read if asked is None else asked


RESPONSE_RULES = ("window", "raw_fluorescence", "lost")
"""Rules of a dataset by which responses are read."""


def _read(store: ArtifactStore, dataset: ArtifactRef, source: ArtifactRef) -> dict[str, Any]:
    scan = store.manifest(source).config["scan"]
    for refs in store.inputs(dataset).values():
        for ref in refs:
            if ref.kind == "input_response" and store.manifest(ref).config["scan"] == scan:
                config = store.manifest(ref).config
                return {name: config[name] for name in RESPONSE_RULES}
    return {}


def _later_days(
    store: ArtifactStore,
    asked: ArtifactRef,
    purpose: tuple[ArtifactRef, ArtifactRef | None, ArtifactRef],
    loop_group: int,
) -> tuple[TracedDay, ...]:
    """Return what showed sets of one purpose: of each scan the recording asked for, or else the newest."""
    source = scan_of(store, purpose[2])
    found: dict[ScanKey, TracedDay] = {}
    for ref in [*_recordings(store, source.animal_id), asked]:
        shown = shown_in(store, ref)
        if shown is None or store.manifest(shown).config["loop_group"] != loop_group:
            continue
        if _purpose(store, shown) == purpose:
            day = _day(store.manifest(ref).config, scan_of(store, ref), source)
            found[scan_of(store, ref)] = TracedDay(ref, shown, truth_of(store, ref), day)
    return tuple(sorted(found.values(), key=lambda one: (one.day, one.recording.uri)))


def _recordings(store: ArtifactStore, animal_id: int) -> Iterator[ArtifactRef]:
    listed = artifacts(store, "recording", f"animal_id={animal_id}")
    return (one.ref for one in sorted(listed, key=lambda one: (one.modified, one.ref.digest)))


def _day(config: Mapping[str, Any], scan: ScanKey, source: ScanKey) -> int:
    """Return days since the source scan; of a rig's scans that is the difference of their sessions."""
    return max(1, int(config.get("day") or scan.session - source.session))


def scan_of(store: ArtifactStore, recording: ArtifactRef) -> ScanKey:
    """Return the scan of a recording."""
    return ScanKey.model_validate(store.manifest(recording).config["scan"])


def truth_of(store: ArtifactStore, recording: ArtifactRef) -> ArtifactRef | None:
    """Return the truth about a digital animal's day; None for a recording that has none."""
    manifest = store.manifest(recording)
    partition = store.key(recording).split("/", 1)[1].rpartition("/")[0]
    for listed in artifacts(store, ANIMAL_TRUTH.name, partition):
        truth = store.manifest(listed.ref)
        if truth.config == manifest.config and truth.inputs == manifest.inputs:
            return listed.ref
    return None

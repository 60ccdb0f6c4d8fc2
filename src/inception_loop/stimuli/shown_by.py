"""Which stimulus set a later day showed, found by its images among those that its animal was to see."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.recordings.recording import Recording
from inception_loop.stimuli.recognised import stored_set
from inception_loop.stimuli.recognition import recognise
from inception_loop.stimuli.target_group import TARGET_STATIC_GROUP_ID


def shown_by(store: ArtifactStore, recording: Recording) -> ArtifactRef | None:
    """Return the newest target of a recording's animal whose images, made for units, the recording shows.

    Images of photographs tell nothing: a set shows those of its source scan again.

    Parameters
    ----------
    store
        Holds the targets.
    recording
        As its files say.

    Returns
    -------
    The stimulus set; None if the recording shows images of none: it is a first day.

    Raises
    ------
    DataError
        If the recording contradicts a set, see `recognise`.
    """
    for ref in targets_of(store, recording.scan.animal_id):
        shown = stored_set(store, ref)
        made = shown.conditions.filter(pl.col("source_unit_id").is_not_null())["condition_hash"]
        found = recognise(recording.conditions, recording.images, shown).conditions["condition_hash"]
        if found.is_in(made.unique().to_list()).any():
            return ref
    return None


def targets_of(store: ArtifactStore, animal_id: int) -> Iterator[ArtifactRef]:
    """Yield the stimulus sets that were named as what an animal is shown next, the newest first."""
    named = sorted(
        artifacts(store, TARGET_STATIC_GROUP_ID.name), key=lambda one: (one.modified, one.ref.digest)
    )
    seen = set()
    for listed in reversed(named):
        shown = store.inputs(listed.ref)["stimulus_set"][0]
        source = store.manifest(shown).inputs["recording"][0]
        if shown not in seen and source.key.startswith(f"recording/animal_id={animal_id}/"):
            seen.add(shown)
            yield shown

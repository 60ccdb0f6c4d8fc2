"""What a dataset report reads of one member of a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.parts import by_member
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import Recorded

LOOKALIKES = "near_duplicates"


@dataclass(frozen=True)
class Member:
    """One recording of a group with what the dataset stage made of it.

    Attributes
    ----------
    name : readout key
    recording : as it was handed over, read part by part
    trials : rows ``trial_idx, condition_hash, tier, used, reason, response_row`` of the dataset, in order
    units : rows ``neuron_id, unit_id, brain_area, layer`` of the dataset, by column of the responses
    status : ``trial_idx, status`` of every trial, in order; empty for the rows of ``responses``
    responses : (T, N) float32, valid trials in order
    eye : ``trial_idx, pupil, valid`` of every trial
    treadmill : ``trial_idx, treadmill, valid`` of every trial
    filled : traces, eye, treadmill → samples that were interpolated
    lookalikes : ``condition_hash`` of images that look like one of another tier; None: not compared. Those of
        the nearest 10,000 pairs of the group
    lag1 : median over units of the correlation of successive trials, as the dataset has it; None: not known
    pairs_across_tiers : all pairs of the group's images that look alike in two tiers; None: not compared
    sources_in_two_tiers : photographs of the group with images in two tiers; None: not compared
    """

    name: str
    recording: Recorded
    trials: pl.DataFrame
    units: pl.DataFrame
    status: pl.DataFrame
    responses: npt.NDArray[np.float32]
    eye: pl.DataFrame
    treadmill: pl.DataFrame
    filled: Mapping[str, int]
    lookalikes: frozenset[str] | None
    lag1: float | None = None
    pairs_across_tiers: int | None = None
    sources_in_two_tiers: int | None = None

    @property
    def ordered(self) -> bool:
        """Whether the order of presentation is known: some trial has an onset.

        Without any, trials come by ``trial_idx``, which some sources number as shown and others do not.
        """
        return bool(self.recording.trials["onset_flip"].cast(pl.Float64).is_finite().any())


def recordings_of(store: ArtifactStore, dataset: ArtifactRef) -> list[ArtifactRef]:
    """Return the recordings that a ``static_multi_dataset`` was made of, in the order of its members."""
    return [store.inputs(ref)["recording"][0] for ref in store.inputs(dataset)["input_response"]]


def read_members(store: ArtifactStore, dataset: ArtifactRef) -> Iterator[Member]:
    """Read the members of a ``static_multi_dataset`` one by one."""
    inputs = store.inputs(dataset)
    trials, units = store.table(dataset, "trials"), store.table(dataset, "units")
    tiers = inputs["condition_tier"][0]
    alike, compared = _lookalikes(store, tiers), store.manifest(tiers).findings
    members = store.table(dataset, "members").select("name", "lag1_leakage").rows()
    parts = zip(members, by_member(inputs), recordings_of(store, dataset), strict=True)
    for (name, lag1), refs, recording in parts:
        yield Member(
            name=name,
            recording=load_recording(store, recording),
            trials=trials.filter(name=name),
            units=units.filter(name=name).sort("neuron_id"),
            status=store.table(refs["input_response"], "trials"),
            responses=store.vectors(refs["input_response"], "responses", "response"),
            eye=store.table(refs["eye"], "eye"),
            treadmill=store.table(refs["treadmill"], "treadmill"),
            filled={
                part: _filled(store.manifest(refs[kind]).findings)
                for part, kind in (("traces", "input_response"), ("eye", "eye"), ("treadmill", "treadmill"))
            },
            lookalikes=alike,
            lag1=lag1,
            pairs_across_tiers=compared.get("near_duplicates_across_tiers"),
            sources_in_two_tiers=compared.get("sources_in_two_tiers", 0),
        )


def _filled(findings: Mapping[str, Any]) -> int:
    return int(findings.get("n_filled_samples", 0))


def _lookalikes(store: ArtifactStore, tiers: ArtifactRef) -> frozenset[str] | None:
    """Return the images that have a near-duplicate in another tier."""
    if LOOKALIKES not in store.manifest(tiers).payloads:
        return None  # made before images were compared
    pairs = store.table(tiers, LOOKALIKES).filter("across_tiers")
    return frozenset(pairs["condition_hash_a"]) | frozenset(pairs["condition_hash_b"])

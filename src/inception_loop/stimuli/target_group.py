"""TargetStaticGroupId: which group of stimuli the rig shows next."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Column, Kind, Table
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import ArtifactNotFoundError, ConfigurationError, DataError

TARGET_STATIC_GROUP_ID = Kind(
    name="target_static_group_id",
    version=1,
    meaning="Which stimulus set the rig shows next: the one with the highest number.",
    payloads={
        "target_static_group_id": Table(
            {
                "number": Column(pa.int64(), "running number in the loop; the highest counts"),
                "stimulus_set": Column(pa.string(), "digest of the stimulus set to show"),
                "n_images": Column(pa.int64(), "images in it"),
                "n_trials": Column(pa.int64(), "trials of its session"),
            }
        )
    },
    partition=LOOP,
)


class TargetStaticGroupIdConfig(Config):
    """Configuration of a target."""

    loop_group: int = Field(ge=0, description="Number of the loop.")
    number: int = Field(ge=0, description="Running number in the loop, above those given before.")


class Target(NamedTuple):
    """What the rig shows next.

    Attributes
    ----------
    number
        Its running number.
    stimulus_set
        What to show.
    ref
        The artifact that says so.
    """

    number: int
    stimulus_set: ArtifactRef
    ref: ArtifactRef


def make_target_static_group_id(
    store: ArtifactStore, config: TargetStaticGroupIdConfig, *, stimulus_set: ArtifactRef
) -> Outcome:
    """Name the stimulus set that the rig shows next; see `number_of`.

    Raises
    ------
    ConfigurationError
        If another target of the loop has this number, or a higher one, already.
    """

    def build(attempt: Attempt) -> None:
        over = [one for one in targets(store, config.loop_group) if one.number >= config.number]
        if over:
            raise ConfigurationError(
                f"target {config.number} of loop {config.loop_group} is not above {over[-1].number} "
                f"({over[-1].ref}), which stands; expected {over[-1].number + 1} or more; choose it"
            )
        row = {
            "number": config.number,
            "stimulus_set": stimulus_set.digest,
            "n_images": store.block(stimulus_set, "images", "images").shape[0],
            "n_trials": store.located(stimulus_set, "trials", "table").payload.rows,
        }
        attempt.write_table(TARGET_STATIC_GROUP_ID.name, pl.DataFrame([row]))

    return store.make(TARGET_STATIC_GROUP_ID, config, build, {"stimulus_set": stimulus_set})


def targets(store: ArtifactStore, loop_group: int) -> list[Target]:
    """List the targets of a loop by number."""
    found = []
    for listed in artifacts(store, TARGET_STATIC_GROUP_ID.name, f"loop_group={loop_group}"):
        number = store.manifest(listed.ref).config["number"]
        found.append(Target(int(number), store.inputs(listed.ref)["stimulus_set"][0], listed.ref))
    return sorted(found, key=lambda target: (target.number, target.ref.digest))


def current_target(store: ArtifactStore, loop_group: int) -> Target:
    """Return what the rig shows next: the target with the highest number.

    Raises
    ------
    ArtifactNotFoundError
        If the loop has none.
    DataError
        If two have that number: two workers named one each at the same time.
    """
    found = targets(store, loop_group)
    if not found:
        raise ArtifactNotFoundError(
            f"loop {loop_group} has no target_static_group_id; expected one; name the stimulus set to show: "
            "inception-loop target stimulus_set/0123abcd"
        )
    if len(found) > 1 and found[-2].number == found[-1].number:
        one, other = found[-2:]
        raise DataError(
            f"loop {loop_group} has two targets with the number {one.number}: {one.ref} shows "
            f"{one.stimulus_set}, {other.ref} shows {other.stimulus_set}; expected one; make the right one "
            "again with a higher number"
        )
    return found[-1]


def number_of(store: ArtifactStore, loop_group: int, stimulus_set: ArtifactRef) -> int:
    """Return the number under which a set is what the rig shows next.

    That which it has if it alone has the highest, else one above the highest; 0 in a loop without a target.
    """
    found = targets(store, loop_group)
    if not found:
        return 0
    highest = [target for target in found if target.number == found[-1].number]
    stands = [target.stimulus_set for target in highest] == [stimulus_set]
    return found[-1].number + (not stands)

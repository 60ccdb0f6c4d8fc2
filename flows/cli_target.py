"""``inception-loop target``: which stimulus set the rig shows next. Imports no Prefect."""

from __future__ import annotations

import json
import sys

from inception_loop.artifacts.listing import resolve
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ConfigurationError
from inception_loop.stimuli.stimulus_set import STIMULUS_SET
from inception_loop.stimuli.target_group import (
    TargetStaticGroupIdConfig,
    make_target_static_group_id,
    number_of,
    targets,
)


def name_or_list(name: str | None, loop_group: int, *, as_json: bool) -> int:
    """Name a set as what the rig shows next and print it, or print all that were; returns the exit status."""
    store = open_store()
    if name is not None:
        _name(store, resolve(store, name), loop_group)
    found = targets(store, loop_group)
    rows = [
        {"number": one.number, "stimulus_set": str(one.stimulus_set), "target": str(one.ref)} for one in found
    ]
    lines = [f"{row['number']:>4}  {row['stimulus_set']}" for row in rows] or [
        f"loop {loop_group} shows nothing next; name a set: inception-loop target stimulus_set/0123abcd"
    ]
    if rows:
        lines[-1] += f"  shown next in loop {loop_group}"
    sys.stdout.write((json.dumps(rows, indent=2) if as_json else "\n".join(lines)) + "\n")
    return 0


def _name(store: ArtifactStore, shown: ArtifactRef, loop_group: int) -> None:
    if shown.kind != STIMULUS_SET.name:
        raise ConfigurationError(
            f"target got {shown}; expected a stimulus_set; list them: inception-loop store ls stimulus_set"
        )
    made_for = store.manifest(shown).config["loop_group"]
    if made_for != loop_group:
        raise ConfigurationError(
            f"{shown} was made for loop {made_for}; expected one of loop {loop_group}; "
            f"say --loop-group {made_for}, or make it for this loop"
        )
    number = number_of(store, loop_group, shown)
    config = TargetStaticGroupIdConfig(loop_group=loop_group, number=number)
    make_target_static_group_id(store, config, stimulus_set=shown)

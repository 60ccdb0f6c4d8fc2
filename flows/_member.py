"""Whose units a session is for: those of one scan, also where networks were trained on several."""

from __future__ import annotations

import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.parts import member_name
from inception_loop.recordings.recording import ScanKey


def member_shown(
    store: ArtifactStore, group_id: int, recording: ArtifactRef, selection: pl.DataFrame
) -> str | None:
    """Return the readout key of a recording's scan; None where a selection is of one scan anyway.

    A later day is matched to the cells of this scan, so nobody could say what images of another one did.
    """
    if selection["name"].n_unique() < 2:
        return None
    return member_name(group_id, ScanKey(**store.manifest(recording).config["scan"]))

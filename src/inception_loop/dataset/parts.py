"""The tables of one member scan, read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.sampling import Floats
from inception_loop.dataset.trials import has_values
from inception_loop.recordings.recording import ScanKey

PER_SCAN = (
    "area_membership",
    "excluded_trial",
    "eye",
    "frame",
    "input_response",
    "layer_membership",
    "static_scan",
    "treadmill",
)
BEHAVIOR = ("pupil", "dpupil", "treadmill")
PUPIL_CENTER = ("center_x", "center_y")


def member_name(group_id: int, scan: ScanKey) -> str:
    """Name of a scan in its group: the readout key of the networks.

    Examples
    --------
    >>> member_name(4, ScanKey(animal_id=17, session=1, scan_idx=2))
    'group004-17-1-2'
    """
    return f"group{group_id:03d}-{scan.animal_id}-{scan.session}-{scan.scan_idx}"


@dataclass(frozen=True)
class UsedTrials:
    """Values of the used trials of one scan, in order of presentation.

    Attributes
    ----------
    frames : (K, H, W) float32, grey levels; may be memory-mapped
    frame_row : (T,) int64, frame of each trial
    responses : (T, N) float32, the caller's own
    behavior : (T, 3) float64 pupil, dpupil, treadmill; NaN where untracked; None without eye or treadmill
    pupil_center : (T, 2) float64 x, y; NaN where untracked; None without eye
    """

    frames: npt.NDArray[np.float32]
    frame_row: npt.NDArray[np.int64]
    responses: npt.NDArray[np.float32]
    behavior: Floats | None
    pupil_center: Floats | None


def read_used(
    store: ArtifactStore,
    refs: Mapping[str, ArtifactRef],
    trials: pl.DataFrame,
    columns: npt.NDArray[np.int64] | None = None,
) -> UsedTrials:
    """Read the values of a member's used trials; nothing else of its responses is held at any time.

    Parameters
    ----------
    refs
        The member's ``frame``, ``input_response``, ``eye`` and ``treadmill``.
    trials
        Its rows of `join_trials`.
    columns : (N,) int64
        ``neuron_id`` of the units to read; by default all.
    """
    used = trials.filter("used")
    rows = used["response_row"].to_numpy()
    eye, treadmill = store.table(refs["eye"], "eye"), store.table(refs["treadmill"], "treadmill")
    values = used.select("trial_idx").join(eye, on="trial_idx", how="left", maintain_order="left")
    values = values.join(treadmill, on="trial_idx", how="left", maintain_order="left", suffix="_run")
    tracked, ran = has_values(eye), has_values(treadmill)
    return UsedTrials(
        frames=store.arrays(refs["frame"], "frames")["frames"],
        frame_row=used["frame_row"].to_numpy(),
        responses=store.vectors(refs["input_response"], "responses", "response", rows, columns),
        behavior=_columns(values, BEHAVIOR) if tracked and ran else None,
        pupil_center=_columns(values, PUPIL_CENTER) if tracked else None,
    )


def by_member(inputs: Mapping[str, Sequence[ArtifactRef]]) -> list[dict[str, ArtifactRef]]:
    """Turn lists of per-scan references, one entry a member, into one mapping a member."""
    roles = [role for role in PER_SCAN if role in inputs]
    return [
        dict(zip(roles, refs, strict=True)) for refs in zip(*(inputs[role] for role in roles), strict=True)
    ]


def _columns(table: pl.DataFrame, names: tuple[str, ...]) -> Floats:
    return np.stack([table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names], axis=1)

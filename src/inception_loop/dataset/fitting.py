"""The choices that let a recording through the dataset stage, each by its name, none behind one's back."""

from __future__ import annotations

from typing import Any

from inception_loop.dataset.config import DatasetConfig, FrameSize, ResponseWindow, Tiers
from inception_loop.dataset.responses import SHOWN_TOLERANCE, shown_s
from inception_loop.recordings.recording import Recorded

FEW_REPEATED = 0.02
"""A smaller share of images that are repeated was hardly meant as a test set."""

POLICIES: dict[str, dict[str, dict[str, str]]] = {
    "eye": {"missing": {"no_eye": "omit"}},
    "treadmill": {"missing": {"no_treadmill": "omit"}},
    "positions": {"missing": {"no_positions": "keep"}},
    "areas": {"areas": {"otherwise": "unknown"}},
    "layers": {"layers": {"otherwise": "unset"}},
}
"""What a recording may lack → the named policy that goes on without it."""


def fitting_config(recording: Recorded, lacks: list[str], group_id: int = 0) -> DatasetConfig:
    """Return the configuration, nearest to the published one, that a recording goes through with.

    A person should read it before using it: every field that differs from `DatasetConfig` is a decision.

    Parameters
    ----------
    recording
        In memory or in the store.
    lacks
        What it does not have, see `inception_loop.recordings.archive.lacks`.
    group_id
        Number of the group.
    """
    choices: dict[str, Any] = {"group_id": group_id}
    for name in lacks:
        for part, choice in POLICIES.get(name, {}).items():
            choices[part] = {**choices.get(part, {}), **choice}
    shown = shown_s(recording.trials)
    if shown is not None and abs(shown - ResponseWindow().duration) > SHOWN_TOLERANCE:
        choices["window"] = {"duration": round(shown, 3)}
    choices |= _frame(*recording.images.shape[1:])
    choices |= _tiers(recording)
    return DatasetConfig.model_validate(choices)


def _tiers(recording: Recorded) -> dict[str, Any]:
    """Name the images to learn from; a few pictures that got in twice are no test tier."""
    choices: dict[str, Any] = {}
    classes = set(recording.conditions["image_class"].unique())
    if not classes & set(Tiers().natural_classes):
        choices["natural_classes"] = tuple(sorted(classes))
    repeated = int((recording.trials["condition_hash"].value_counts()["count"] > 1).sum())
    given = "tier" in recording.conditions.columns
    if not given and 0 < repeated < FEW_REPEATED * recording.conditions.height:
        choices["least_repeated"] = repeated + 1
    return {"tiers": choices} if choices else {}


def _frame(height: int, width: int) -> dict[str, Any]:
    """Return a size of the frames that keeps the aspect ratio, or a letterbox where no whole one does."""
    size = FrameSize()
    if height * size.col == width * size.row:
        return {}
    col = width * size.row / height
    if col == int(col) and col <= 4 * size.col:
        return {"frame": {"col": int(col)}}
    return {"frame": {"aspect": "letterbox"}}

"""What was done about everything that recordings lack: every policy that took effect, with its counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from inception_loop.dataset.config import MissingData
from inception_loop.dataset.drawing import FROM_GIVEN
from inception_loop.dataset.tiers import DRAWN
from inception_loop.dataset.trial_status import LOST, NO_FRAMES
from inception_loop.dataset.trials import NO_EYE, NO_RUNNING

Policies = dict[str, dict[str, Any]]


def applied_policies(
    missing: MissingData, members: pl.DataFrame, trials: pl.DataFrame, units: pl.DataFrame
) -> Policies:
    """Name the policies for missing data that took effect in a group.

    Parameters
    ----------
    missing
        The policies.
    members, trials, units
        Tables of a `STATIC_MULTI_DATASET`.

    Returns
    -------
    Some of ``no_eye``, ``no_treadmill``, ``untracked``, ``no_positions``, ``lost_responses``, ``lost_frames``
    → the policy, how many trials or units it changed, and in which members.

    Examples
    --------
    >>> members = pl.DataFrame({"name": ["a", "b"], "has_eye": [True, False], "has_treadmill": [True, True]})
    >>> trials = pl.DataFrame({"name": ["a"], "reason": [NO_RUNNING], "imputed": [False]})
    >>> units = pl.DataFrame({"name": ["a"], "um_x": [1.0], "um_y": [1.0], "um_z": [1.0], "border_um": [2.0]})
    >>> for name, applied in applied_policies(MissingData(no_eye="omit"), members, trials, units).items():
    ...     print(name, applied)
    no_eye {'policy': 'omit', 'members': ['b']}
    untracked {'policy': 'drop', 'n_trials': 1, 'members': ['a']}
    """
    without = {
        part: members.filter(~pl.col(f"has_{part}"))["name"].to_list() for part in ("eye", "treadmill")
    }
    found: Policies = {
        f"no_{part}": {"policy": getattr(missing, f"no_{part}"), "members": names}
        for part, names in without.items()
        if names
    }
    untracked = pl.col("reason").is_in([NO_EYE, NO_RUNNING]) | pl.col("imputed")
    placeless = pl.any_horizontal(pl.col("um_x", "um_y", "um_z", "border_um").is_null())
    for name, policy, table, lacking, what in (
        ("untracked", missing.untracked, trials, untracked, "n_trials"),
        ("no_positions", missing.no_positions, units, placeless, "n_units"),
        ("lost_responses", "drop_trial", trials, pl.col("reason") == LOST, "n_trials"),
        ("lost_frames", "drop_trial", trials, pl.col("reason") == NO_FRAMES, "n_trials"),
    ):
        where = table.filter(lacking)["name"]
        if where.len():
            found[name] = _counted(policy, what, dict(where.value_counts(sort=True).sort("name").rows()))
    return found


def applied_upstream(
    tiers: pl.DataFrame, no_repeats: str, findings: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> Policies:
    """Name the policies that took effect before the scans of a group met.

    Parameters
    ----------
    tiers
        Table ``image_class, image_id, tier, reason`` of the group.
    no_repeats
        What its rules say for groups without a repeated image.
    findings
        Member → kind → findings of its ``input_response``, ``area_membership`` and ``layer_membership``.

    Returns
    -------
    Some of ``no_repeats``, ``given_incomplete``, ``raw_fluorescence``, ``no_area``, ``no_layer``, as of
    `applied_policies`.
    """
    found: Policies = {}
    drawn = tiers.filter(tier="test", reason=DRAWN).select("image_class", "image_id").n_unique()
    if drawn:
        found["no_repeats"] = {"policy": no_repeats, "n_images": drawn}
    from_given = tiers.filter(reason=FROM_GIVEN).select("image_class", "image_id").n_unique()
    if from_given:
        found["given_incomplete"] = {"policy": "draw", "n_images": from_given}
    raw = {name: one["input_response"].get("deconvolution") or {} for name, one in findings.items()}
    counts = {
        "raw_fluorescence": ("oasis", {name: one.get("n_units", 0) for name, one in raw.items()}),
        **{
            f"no_{part}": (
                "otherwise",
                {
                    name: one[f"{part}_membership"]["decided_by"].get("otherwise", 0)
                    for name, one in findings.items()
                },
            )
            for part in ("area", "layer")
        },
    }
    for name, (policy, units) in counts.items():
        if any(units.values()):
            found[name] = _counted(policy, "n_units", units)
    return found


def _counted(policy: str, what: str, counts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "policy": policy,
        what: sum(counts.values()),
        "members": [name for name, count in counts.items() if count],
    }

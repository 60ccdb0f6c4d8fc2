"""The dataset stage: from recordings to a StaticMultiDataset."""

from __future__ import annotations

from collections.abc import Sequence

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.dataset.behavior_tables import BehaviorConfig, make_eye, make_treadmill
from inception_loop.dataset.condition_tier import ConditionTierConfig, make_condition_tier
from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.frame import FrameConfig, make_frame
from inception_loop.dataset.input_response import InputResponseConfig, make_input_response
from inception_loop.dataset.membership_tables import (
    AreaMembershipConfig,
    LayerMembershipConfig,
    make_area_membership,
    make_layer_membership,
)
from inception_loop.dataset.multi_dataset import StaticMultiDatasetConfig, make_static_multi_dataset
from inception_loop.dataset.parts import PER_SCAN
from inception_loop.dataset.scan_tables import (
    ScanConfig,
    make_excluded_trial,
    make_monitor_calibration,
    make_stack_coordinates,
    make_static_scan,
)
from inception_loop.dataset.statistics import StatisticsConfig, make_statistics
from inception_loop.errors import ConfigurationError
from inception_loop.recordings.recording import ScanKey

Outcomes = dict[str, list[Outcome]]


def scan_of(store: ArtifactStore, recording: ArtifactRef) -> ScanKey:
    """Return the scan that a recording is of, from its manifest."""
    return ScanKey.model_validate(store.manifest(recording).config["scan"])


def make_scan_tables(
    store: ArtifactStore, config: DatasetConfig, recording: ArtifactRef
) -> dict[str, Outcome]:
    """Make every table of one scan: kind → outcome.

    Nothing here depends on the group, so that a scan's tables serve every group that it is in.
    """
    scan = scan_of(store, recording)
    bare = ScanConfig(scan=scan)
    behavior = BehaviorConfig(scan=scan, window=config.window)
    made = {
        "static_scan": make_static_scan(store, bare, recording=recording),
        "excluded_trial": make_excluded_trial(store, bare, recording=recording),
        "stack_coordinates": make_stack_coordinates(store, bare, recording=recording),
        "monitor_calibration": make_monitor_calibration(store, bare, recording=recording),
        "eye": make_eye(store, behavior, recording=recording),
        "treadmill": make_treadmill(store, behavior, recording=recording),
        "area_membership": make_area_membership(
            store, AreaMembershipConfig(scan=scan, rules=config.areas), recording=recording
        ),
        "layer_membership": make_layer_membership(
            store, LayerMembershipConfig(scan=scan, rules=config.layers), recording=recording
        ),
    }
    made["frame"] = make_frame(
        store,
        FrameConfig(scan=scan, frame=config.frame),
        recording=recording,
        calibration=made["monitor_calibration"].ref,
    )
    made["input_response"] = make_input_response(
        store,
        InputResponseConfig(scan=scan, window=config.window),
        recording=recording,
        excluded_trial=made["excluded_trial"].ref,
    )
    return made


def make_group(
    store: ArtifactStore,
    config: DatasetConfig,
    recordings: Sequence[ArtifactRef],
    per_scan: Sequence[dict[str, Outcome]],
) -> dict[str, Outcome]:
    """Make the tables that span a group: tiers, statistics, and the dataset.

    Parameters
    ----------
    recordings
        The group's recordings, in any order.
    per_scan
        What `make_scan_tables` made of each, in the same order.
    """
    scans = [scan_of(store, ref) for ref in recordings]
    order = sorted(range(len(scans)), key=lambda i: (scans[i].animal_id, scans[i].session, scans[i].scan_idx))
    members = tuple(scans[i] for i in order)
    refs = {role: [per_scan[i][role].ref for i in order] for role in PER_SCAN}
    tiers = make_condition_tier(
        store, ConditionTierConfig(group_id=config.group_id, tiers=config.tiers), recordings=recordings
    )
    statistics = make_statistics(
        store,
        StatisticsConfig(
            group_id=config.group_id, scans=members, missing=config.missing, statistic=config.statistic
        ),
        condition_tier=tiers.ref,
        frames=refs["frame"],
        input_responses=refs["input_response"],
        eyes=refs["eye"],
        treadmills=refs["treadmill"],
    )
    dataset = make_static_multi_dataset(
        store,
        StaticMultiDatasetConfig(
            group_id=config.group_id, scans=members, missing=config.missing, description=config.description
        ),
        condition_tier=tiers.ref,
        statistics=statistics.ref,
        per_scan=refs,
    )
    return {"condition_tier": tiers, "statistics": statistics, "static_multi_dataset": dataset}


def make_dataset(store: ArtifactStore, config: DatasetConfig, recordings: Sequence[ArtifactRef]) -> Outcomes:
    """Make the whole dataset stage.

    Parameters
    ----------
    recordings
        Artifacts of kind ``recording``, each of another scan, in any order.

    Returns
    -------
    Kind → outcomes: one a recording in the order given, one a group.

    Raises
    ------
    ConfigurationError
        If there is no recording, or a scan comes twice.
    """
    scans = [scan_of(store, ref) for ref in recordings]
    if not scans or len({str(scan) for scan in scans}) < len(scans):
        raise ConfigurationError(
            f"group {config.group_id} was given the scans {[str(scan) for scan in scans]}; "
            "expected at least one recording, each of another scan"
        )
    per_scan = [make_scan_tables(store, config, ref) for ref in recordings]
    made: Outcomes = {kind: [one[kind] for one in per_scan] for kind in per_scan[0]}
    for kind, outcome in make_group(store, config, recordings, per_scan).items():
        made[kind] = [outcome]
    return made

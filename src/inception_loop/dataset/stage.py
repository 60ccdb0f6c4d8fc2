"""The stages *ingest* and *dataset*: from recordings to a StaticMultiDataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Directly, Run
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


def by_scan(store: ArtifactStore, recordings: Sequence[ArtifactRef]) -> dict[ScanKey, ArtifactRef]:
    """Return recordings by their scan, in the order of the scans' keys.

    Raises
    ------
    ConfigurationError
        If there is no recording, or a scan comes twice.
    """
    found = {scan_of(store, ref): ref for ref in recordings}
    if not recordings or len(found) < len(recordings):
        raise ConfigurationError(
            f"got {len(recordings)} recordings of the scans {[str(scan) for scan in found]}; "
            "expected at least one recording, each of another scan"
        )
    return dict(sorted(found.items(), key=lambda item: tuple(item[0].model_dump().values())))


def run_ingest(run: Run, scan: ScanKey, recording: ArtifactRef) -> dict[str, Any]:
    """Run the steps that only sort out what a recording holds: kind → reference."""
    config, label = ScanConfig(scan=scan), str(scan)
    return {
        "static_scan": run(make_static_scan, config, recording=recording, label=label),
        "excluded_trial": run(make_excluded_trial, config, recording=recording, label=label),
        "stack_coordinates": run(make_stack_coordinates, config, recording=recording, label=label),
        "monitor_calibration": run(make_monitor_calibration, config, recording=recording, label=label),
    }


def run_responses(
    run: Run, config: DatasetConfig, scan: ScanKey, recording: ArtifactRef, excluded_trial: Any
) -> Any:
    """Run the step that makes a scan's responses; all that a closed loop needs of a later day's traces."""
    return run(
        make_input_response,
        InputResponseConfig(scan=scan, window=config.window),
        recording=recording,
        excluded_trial=excluded_trial,
        label=str(scan),
    )


def run_scan(run: Run, config: DatasetConfig, scan: ScanKey, recording: ArtifactRef) -> dict[str, Any]:
    """Run every step that concerns one scan: kind → reference.

    Nothing here depends on the group, so that a scan's tables serve every group that it is in.
    """
    made = run_ingest(run, scan, recording)
    behavior = BehaviorConfig(scan=scan, window=config.window)
    areas = AreaMembershipConfig(scan=scan, rules=config.areas)
    layers = LayerMembershipConfig(scan=scan, rules=config.layers)
    of: dict[str, Any] = {"recording": recording, "label": str(scan)}
    made["eye"] = run(make_eye, behavior, **of)
    made["treadmill"] = run(make_treadmill, behavior, **of)
    made["area_membership"] = run(make_area_membership, areas, **of)
    made["layer_membership"] = run(make_layer_membership, layers, **of)
    made["frame"] = run(
        make_frame,
        FrameConfig(scan=scan, frame=config.frame),
        calibration=made["monitor_calibration"],
        **of,
    )
    made["input_response"] = run_responses(run, config, scan, recording, made["excluded_trial"])
    return made


def run_dataset(run: Run, config: DatasetConfig, recordings: Mapping[ScanKey, ArtifactRef]) -> Any:
    """Run the whole stage and return the reference of the StaticMultiDataset; see `by_scan`."""
    tables = [run_scan(run, config, scan, recording) for scan, recording in recordings.items()]
    refs = {role: [made[role] for made in tables] for role in PER_SCAN}
    group: dict[str, Any] = {
        "group_id": config.group_id,
        "scans": tuple(recordings),
        "missing": config.missing,
    }
    tiers = run(
        make_condition_tier,
        ConditionTierConfig(group_id=config.group_id, tiers=config.tiers),
        recordings=list(recordings.values()),
    )
    statistics = run(
        make_statistics,
        StatisticsConfig(**group, statistic=config.statistic),
        condition_tier=tiers,
        frames=refs["frame"],
        input_responses=refs["input_response"],
        eyes=refs["eye"],
        treadmills=refs["treadmill"],
    )
    return run(
        make_static_multi_dataset,
        StaticMultiDatasetConfig(**group, description=config.description),
        condition_tier=tiers,
        statistics=statistics,
        per_scan=refs,
    )


def make_dataset(store: ArtifactStore, config: DatasetConfig, recordings: Sequence[ArtifactRef]) -> Outcomes:
    """Make the whole dataset stage on the spot.

    Parameters
    ----------
    recordings
        Artifacts of kind ``recording``, each of another scan, in any order.

    Returns
    -------
    Kind → outcomes: one a scan in the order of the scans' keys, one a group.

    Raises
    ------
    ConfigurationError
        If there is no recording, or a scan comes twice.
    """
    run = Directly(store)
    run_dataset(run, config, by_scan(store, recordings))
    return run.outcomes

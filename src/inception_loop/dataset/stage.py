"""The stages *ingest* and *dataset*: recordings become the tables of scans and a StaticMultiDataset."""

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
from inception_loop.dataset.image_hash import make_image_hash
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


def by_scan(store: ArtifactStore, recordings: Sequence[ArtifactRef]) -> dict[ScanKey, ArtifactRef]:
    """Return recordings by the scan that they are of, in ascending order of the scans.

    Raises
    ------
    ConfigurationError
        If there is no recording, a scan comes twice, or two were imported from the same files.
    """
    configs = [store.manifest(ref).config for ref in recordings]
    scans = [ScanKey.model_validate(config["scan"]) for config in configs]
    if not scans or len(set(map(str, scans))) < len(scans):
        raise ConfigurationError(
            f"recordings of the scans {', '.join(map(str, scans)) or '(none)'} were given; "
            "expected at least one recording, each of another scan"
        )
    files: dict[str, ScanKey] = {}
    for scan, config in zip(scans, configs, strict=True):
        if "sha256" in config and scan != files.setdefault(config["sha256"], scan):
            raise ConfigurationError(
                f"the recordings of the scans {files[config['sha256']]} and {scan} were imported from the "
                "same files; expected each from its own; import the right file under the right scan"
            )
    pairs = zip(scans, recordings, strict=True)
    return dict(sorted(pairs, key=lambda pair: (pair[0].animal_id, pair[0].session, pair[0].scan_idx)))


def run_ingest(run: Run, scan: ScanKey, recording: Any) -> dict[str, Any]:
    """Run the steps that take a recording apart as it is; kind → reference."""
    config, label = ScanConfig(scan=scan), str(scan)
    return {
        "static_scan": run(make_static_scan, config, recording=recording, label=label),
        "excluded_trial": run(make_excluded_trial, config, recording=recording, label=label),
        "stack_coordinates": run(make_stack_coordinates, config, recording=recording, label=label),
        "monitor_calibration": run(make_monitor_calibration, config, recording=recording, label=label),
    }


def run_responses(
    run: Run, config: DatasetConfig, scan: ScanKey, recording: Any, ingested: Mapping[str, Any]
) -> Any:
    """Run the step that reads a scan's responses: all that a later day needs beside `run_ingest`."""
    return run(
        make_input_response,
        InputResponseConfig(
            scan=scan, window=config.window, raw_fluorescence=config.raw_fluorescence, lost=config.lost
        ),
        recording=recording,
        excluded_trial=ingested["excluded_trial"],
        label=str(scan),
    )


def run_scan(run: Run, config: DatasetConfig, scan: ScanKey, recording: Any) -> dict[str, Any]:
    """Run every step of one scan; kind → reference.

    Nothing here depends on the group, so that a scan's tables serve every group that it is in.
    """
    ingested, label = run_ingest(run, scan, recording), str(scan)
    behavior = BehaviorConfig(scan=scan, window=config.window)
    return ingested | {
        "image_hash": run(make_image_hash, ScanConfig(scan=scan), recording=recording, label=label),
        "frame": run(
            make_frame,
            FrameConfig(scan=scan, frame=config.frame),
            recording=recording,
            calibration=ingested["monitor_calibration"],
            label=label,
        ),
        "input_response": run_responses(run, config, scan, recording, ingested),
        "eye": run(make_eye, behavior, recording=recording, label=label),
        "treadmill": run(make_treadmill, behavior, recording=recording, label=label),
        "area_membership": run(
            make_area_membership,
            AreaMembershipConfig(scan=scan, rules=config.areas),
            recording=recording,
            label=label,
        ),
        "layer_membership": run(
            make_layer_membership,
            LayerMembershipConfig(scan=scan, rules=config.layers),
            recording=recording,
            label=label,
        ),
    }


def run_dataset(run: Run, config: DatasetConfig, recordings: Mapping[ScanKey, Any]) -> dict[str, Any]:
    """Run the whole stage.

    Parameters
    ----------
    run
        Runs a step; see `Run`.
    config
        Rules of the dataset.
    recordings
        Scan → recording, in ascending order of the scans; see `by_scan`.

    Returns
    -------
    Kind → references: a list in the order of the scans for kinds of one scan, one reference for those of the
    group (``condition_tier``, ``statistics``, ``static_multi_dataset``).
    """
    scans = tuple(recordings)
    tables = [run_scan(run, config, scan, recording) for scan, recording in recordings.items()]
    made: dict[str, Any] = {kind: [one[kind] for one in tables] for kind in tables[0]}
    group: dict[str, Any] = {"group_id": config.group_id}
    members: dict[str, Any] = {**group, "scans": scans, "missing": config.missing}
    made["condition_tier"] = run(
        make_condition_tier,
        ConditionTierConfig(**group, tiers=config.tiers),
        recordings=list(recordings.values()),
        image_hashes=made["image_hash"],
    )
    made["statistics"] = run(
        make_statistics,
        StatisticsConfig(**members, statistic=config.statistic),
        condition_tier=made["condition_tier"],
        frames=made["frame"],
        input_responses=made["input_response"],
        eyes=made["eye"],
        treadmills=made["treadmill"],
    )
    made["static_multi_dataset"] = run(
        make_static_multi_dataset,
        StaticMultiDatasetConfig(**members, description=config.description),
        condition_tier=made["condition_tier"],
        statistics=made["statistics"],
        per_scan={role: made[role] for role in PER_SCAN},
    )
    return made


def make_dataset(
    store: ArtifactStore, config: DatasetConfig, recordings: Sequence[ArtifactRef]
) -> dict[str, list[Outcome]]:
    """Make the whole stage on the spot; kind → outcomes, those of scans in ascending order of the scans.

    Parameters
    ----------
    recordings
        Artifacts of kind ``recording``, each of another scan, in any order.

    Raises
    ------
    ConfigurationError
        If there is no recording, or a scan comes twice.
    """
    run = Directly(store)
    run_dataset(run, config, by_scan(store, recordings))
    return run.outcomes

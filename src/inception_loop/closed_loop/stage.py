"""The stage *closed_loop*: from the recordings of later days to the evidence of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Directly, Run
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.closed_loop.assigned_cell_match import AssignedCellMatchConfig, make_assigned_cell_match
from inception_loop.closed_loop.confusion import (
    ConfusionConfig,
    make_normalized_confusion,
    make_z_score_confusion,
)
from inception_loop.closed_loop.diagonal import (
    CONTROLS,
    Control,
    DiagonalEntryConfig,
    make_summary_confusion_diagonal_entry,
    make_z_summary_confusion_diagonal_entry,
)
from inception_loop.closed_loop.evidence_artifact import EvidenceConfig, make_evidence
from inception_loop.closed_loop.loop_tests import LoopTestsConfig, make_loop_tests
from inception_loop.closed_loop.matching import (
    BestProximityCellMatchConfig,
    ProximityCellMatchConfig,
    make_best_proximity_cell_match,
    make_proximity_cell_match,
)
from inception_loop.closed_loop.oracle_match import (
    CellMatchOracleCorrelationConfig,
    make_cell_match_oracle_correlation,
)
from inception_loop.closed_loop.own_response import OwnResponseConfig, make_own_response
from inception_loop.closed_loop.scans import (
    ClosedLoopScanConfig,
    LoopScan,
    closed_loop_scan,
    make_closed_loop_scan,
)
from inception_loop.closed_loop.summary import (
    SummaryConfusionConfig,
    make_summary_confusion,
    make_z_summary_confusion,
)
from inception_loop.errors import ConfigurationError
from inception_loop.recordings.recording import ScanKey

Refs = Mapping[str, ArtifactRef]
SOURCE_ROLES = ("static_scan", "stack_coordinates", "input_response", "excluded_trial")
LATER_ROLES = (*SOURCE_ROLES, "stimulus_set")
MATCHES = {"proximity": "best_proximity_cell_match", "assigned": "assigned_cell_match"}
"""Kind that each rule of matching makes."""


class ClosedLoopConfig(Config):
    """Everything that the stage needs to know beside its inputs."""

    loop_group: int = Field(ge=0, description="Number of the loop.")
    scans: tuple[LoopScan, ...] = Field(description="Its scans, one of them the source.")
    source_name: str | None = Field(
        None, description="Member of the group that is the source scan; None: the group has one member."
    )
    match_units: Literal["imaged", "all"] = Field(
        "imaged", description="Source units to match: those with an image in the stimulus set, or every soma."
    )
    matching: Literal["proximity", "assigned"] = Field(
        "proximity",
        description="Which rule says which cell is which: proximity, the published one (nearest soma), or "
        "assigned (one to one, by place and tuning). Both are made and reported.",
    )
    least_match_probability: float = Field(
        0.5, ge=0, le=1, description="Assigned matches less probable than this are flagged and not used."
    )
    more_than_repeats: int = Field(
        4,
        ge=1,
        description="Shared images need more repeats than this to compare the tuning of matched cells.",
    )
    controls: tuple[Control, ...] = Field(
        CONTROLS,
        description="What the own MEI is compared with; what the sets did not show is skipped, and said.",
    )
    n_permutations: int = Field(99_999, ge=99, description="Permutations of image labels.")
    seed: int = Field(0, ge=0, description="Seed of the permutations.")


def run_closed_loop(
    run: Run,
    config: ClosedLoopConfig,
    *,
    source: Mapping[str, Any],
    later: Mapping[ScanKey, Mapping[str, Any]],
    corrected_high_unit_selection: Any,
    truth_panel: Any = None,
) -> dict[str, Any]:
    """Run the whole stage.

    Parameters
    ----------
    run
        Runs a step; see `Run`.
    config
        The loop.
    source
        ``static_scan``, ``stack_coordinates``, ``input_response``, ``excluded_trial`` of the source scan, and
        ``animal_truth`` where known.
    later
        The same of every later scan, and the ``stimulus_set`` that it showed.
    corrected_high_unit_selection, truth_panel
        Which units the images were made for, and why.

    Returns
    -------
    Kind → reference: lists in the order of the later days for kinds of one scan, one reference for those of
    the loop (``evidence``, ``summary_confusion``, …), and control → reference for the diagonal entries.

    Raises
    ------
    ConfigurationError
        If the scans are no loop, or a scan or role is missing.
    """
    scans = _later_scans(config, source, later)
    made: dict[str, Any] = {
        "closed_loop_scan": run(
            make_closed_loop_scan, ClosedLoopScanConfig(loop_group=config.loop_group, scans=config.scans)
        )
    }
    days = [_run_scan(run, config, scan, source, later[scan]) for scan in scans]
    made |= {kind: [day[kind] for day in days] for kind in days[0]}
    made |= _run_loop(run, config, made["normalized_confusion"], made["z_score_confusion"])
    truths = [later[scan].get("animal_truth") for scan in scans]
    known = source.get("animal_truth") is not None and all(truth is not None for truth in truths)
    optional: dict[str, Any] = {} if truth_panel is None else {"truth_panel": truth_panel}
    how = {
        "loop_group": config.loop_group,
        "source_name": config.source_name,
        "n_permutations": config.n_permutations,
        "seed": config.seed,
    }
    claim = {
        "z_summary_confusion": made["z_summary_confusion"],
        "diagonals": list(made["z_summary_confusion_diagonal_entry"].values()),
        "corrected_high_unit_selection": corrected_high_unit_selection,
    }
    made["loop_tests"] = run(
        make_loop_tests, LoopTestsConfig(**how), own_responses=made["own_response"], **claim, **optional
    )
    if known:
        optional |= {"source_truth": source["animal_truth"], "later_truths": truths}
    made["evidence"] = run(
        make_evidence,
        EvidenceConfig(**how),
        z_score_confusions=made["z_score_confusion"],
        matches=made[MATCHES[config.matching]],
        proximity_matches=made["best_proximity_cell_match"],
        assigned_matches=made["assigned_cell_match"],
        stimulus_sets=[later[scan]["stimulus_set"] for scan in scans],
        **claim,
        **optional,
    )
    return made


def _later_scans(
    config: ClosedLoopConfig, source: Mapping[str, Any], later: Mapping[ScanKey, Mapping[str, Any]]
) -> list[ScanKey]:
    table = closed_loop_scan(ClosedLoopScanConfig(loop_group=config.loop_group, scans=config.scans))
    keys = table.filter(mei_source=False).select("animal_id", "session", "scan_idx")
    scans = [ScanKey(**row) for row in keys.iter_rows(named=True)]
    given: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = [("the source scan", source, SOURCE_ROLES)]
    given += [(f"scan {scan}", later.get(scan, {}), LATER_ROLES) for scan in scans]
    for where, refs, roles in given:
        missing = [role for role in roles if role not in refs]
        if missing:
            raise ConfigurationError(
                f"loop {config.loop_group}: {where} comes without {', '.join(missing)}; "
                f"expected {', '.join(roles)}; run ingest and responses for it first"
            )
    return scans


def _source_scan(config: ClosedLoopConfig) -> ScanKey:
    return next(one.scan for one in config.scans if one.mei_source)


def _run_scan(
    run: Run,
    config: ClosedLoopConfig,
    scan: ScanKey,
    source: Mapping[str, Any],
    later: Mapping[str, Any],
) -> dict[str, Any]:
    of: dict[str, Any] = {"scan": scan, "loop_group": config.loop_group}
    named = {**of, "source_name": config.source_name}
    pair = {**of, "source_scan": _source_scan(config)}
    label = str(scan)
    proximity = run(
        make_proximity_cell_match,
        ProximityCellMatchConfig(**pair, source_name=config.source_name, units=config.match_units),
        source_static_scan=source["static_scan"],
        source_stack_coordinates=source["stack_coordinates"],
        stimulus_set=later["stimulus_set"],
        static_scan=later["static_scan"],
        stack_coordinates=later["stack_coordinates"],
        label=label,
    )
    best = run(
        make_best_proximity_cell_match,
        BestProximityCellMatchConfig(**of),
        proximity_cell_match=proximity,
        label=label,
    )
    responses = {role: later[role] for role in ("input_response", "excluded_trial")}
    assigned = run(
        make_assigned_cell_match,
        AssignedCellMatchConfig(
            **pair,
            source_name=config.source_name,
            units=config.match_units,
            least_probability=config.least_match_probability,
            more_than_repeats=config.more_than_repeats,
        ),
        **{f"source_{role}": source[role] for role in SOURCE_ROLES},
        **{role: later[role] for role in LATER_ROLES},
        label=label,
    )
    used = {"best_proximity_cell_match": best, "assigned_cell_match": assigned}[MATCHES[config.matching]]
    confusions = {
        kind: run(
            make,
            ConfusionConfig(**named),
            cell_match=used,
            stimulus_set=later["stimulus_set"],
            **responses,
            label=label,
        )
        for kind, make in (
            ("normalized_confusion", make_normalized_confusion),
            ("z_score_confusion", make_z_score_confusion),
        )
    }
    own = run(
        make_own_response,
        OwnResponseConfig(**named),
        cell_match=used,
        stimulus_set=later["stimulus_set"],
        **responses,
        label=label,
    )
    correlation = run(
        make_cell_match_oracle_correlation,
        CellMatchOracleCorrelationConfig(**pair, more_than_repeats=config.more_than_repeats),
        cell_match=used,
        source_input_response=source["input_response"],
        source_excluded_trial=source["excluded_trial"],
        **responses,
        label=label,
    )
    return {
        "proximity_cell_match": proximity,
        "best_proximity_cell_match": best,
        "assigned_cell_match": assigned,
        **confusions,
        "own_response": own,
        "cell_match_oracle_correlation": correlation,
    }


def _run_loop(
    run: Run, config: ClosedLoopConfig, normalized: list[Any], z_score: list[Any]
) -> dict[str, Any]:
    pooling = SummaryConfusionConfig(loop_group=config.loop_group)
    plain = run(make_summary_confusion, pooling, confusions=normalized)
    z = run(make_z_summary_confusion, pooling, confusions=z_score)
    entries = {
        control: DiagonalEntryConfig(loop_group=config.loop_group, control=control)
        for control in config.controls
    }
    return {
        "summary_confusion": plain,
        "z_summary_confusion": z,
        "summary_confusion_diagonal_entry": {
            control: run(make_summary_confusion_diagonal_entry, entry, summary_confusion=plain, label=control)
            for control, entry in entries.items()
        },
        "z_summary_confusion_diagonal_entry": {
            control: run(make_z_summary_confusion_diagonal_entry, entry, z_summary_confusion=z, label=control)
            for control, entry in entries.items()
        },
    }


def make_closed_loop(
    store: ArtifactStore,
    config: ClosedLoopConfig,
    *,
    source: Refs,
    later: Mapping[ScanKey, Refs],
    corrected_high_unit_selection: ArtifactRef,
    truth_panel: ArtifactRef | None = None,
) -> dict[str, list[Outcome]]:
    """Make the whole stage on the spot; kind → outcomes. See `run_closed_loop`."""
    run = Directly(store)
    run_closed_loop(
        run,
        config,
        source=source,
        later=later,
        corrected_high_unit_selection=corrected_high_unit_selection,
        truth_panel=truth_panel,
    )
    return run.outcomes

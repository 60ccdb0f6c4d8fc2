"""The evidence of a loop as an artifact: each number with its n, its interval and its definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.diagonal import Control
from inception_loop.closed_loop.evidence import (
    evidence_rows,
    expected_match_rows,
    loop_evidence,
    match_rows,
    unit_rows,
)
from inception_loop.closed_loop.images import of_source, shown_images
from inception_loop.closed_loop.matching import SOURCE_UNIT, judged_matches, kept_matches
from inception_loop.closed_loop.notes import NOTES, loop_notes, scan_notes
from inception_loop.closed_loop.scans import BOOL, F64, I64, TEXT
from inception_loop.recordings.recording import ScanKey

SINCE_2 = {
    "mei_over_gabor": Column(BOOL, "own MEI above own best Gabor; null: not both shown", nullable=True),
    "masked_mei_over_masked_natural": Column(
        BOOL, "own masked MEI above own best masked natural image; null: not both shown", nullable=True
    ),
}


def _with_nulls(table: pa.Table) -> pa.Table:
    for name, column in SINCE_2.items():
        table = table.append_column(name, pa.nulls(len(table), column.type))
    return table


EVIDENCE = Kind(
    name="evidence",
    # 2: comparisons with Gabors and of masked images; notes; 3: no interval of matches over several days;
    # 4: masked images are counted over the units that they are tested over
    version=4,
    meaning="Does each cell prefer the image that was computed for it: the numbers of one loop.",
    payloads={
        "evidence": Table(
            {
                "key": Column(TEXT, "name of the number"),
                "value": Column(F64, "the number; null if nothing was asked", nullable=True),
                "count": Column(I64, "units that do, where it is a share", nullable=True),
                "n": Column(I64, "units asked"),
                "lower": Column(
                    F64, "lower end of the 95 % Wilson interval of a share, over units", nullable=True
                ),
                "upper": Column(F64, "upper end of it", nullable=True),
                "definition": Column(TEXT, "what it is, in words"),
            }
        ),
        "unit_evidence": Table(
            {
                "source_unit_id": SOURCE_UNIT,
                "hu_rank": Column(I64, "rank of a selected unit, 0 first; null: not selected", nullable=True),
                "panel_kind": Column(
                    TEXT, "kind of a unit of the truth panel; null: not in it", nullable=True
                ),
                "in_matrix": Column(BOOL, "whether it counts among n_units"),
                "own_image_is_best": Column(
                    BOOL, "as in own_image_is_best_share; null if not counted", nullable=True
                ),
                "mei_over_rf": Column(
                    BOOL, "own MEI above own RF image; null: not both shown", nullable=True
                ),
                "mei_over_natural": Column(
                    BOOL, "own MEI above own best natural image; null: not both shown", nullable=True
                ),
                **SINCE_2,
            },
            version=2,
            upgrades={1: _with_nulls},
        ),
        "notes": NOTES,
    },
    partition=LOOP,
)


class EvidenceConfig(Config):
    """How the evidence of a loop is computed."""

    loop_group: int = Field(ge=0, description="Number of the loop.")
    source_name: str | None = Field(
        None, description="Member of the group that is the source scan; None: the group has one member."
    )
    n_permutations: int = Field(99_999, ge=99, description="Permutations of image labels (B).")
    seed: int = Field(0, ge=0, description="Seed of the permutations.")


def make_evidence(
    store: ArtifactStore,
    config: EvidenceConfig,
    *,
    z_summary_confusion: ArtifactRef,
    z_score_confusions: Sequence[ArtifactRef],
    diagonals: Sequence[ArtifactRef],
    corrected_high_unit_selection: ArtifactRef,
    matches: Sequence[ArtifactRef],
    stimulus_sets: Sequence[ArtifactRef],
    proximity_matches: Sequence[ArtifactRef] = (),
    assigned_matches: Sequence[ArtifactRef] = (),
    truth_panel: ArtifactRef | None = None,
    source_truth: ArtifactRef | None = None,
    later_truths: Sequence[ArtifactRef] = (),
) -> Outcome:
    """Make the evidence of a loop.

    Parameters
    ----------
    store, config
        Where, and how.
    z_summary_confusion, z_score_confusions
        The confusion in z-scores, pooled, and of every later scan in the order of ``matches``.
    diagonals
        Its diagonal entries, one artifact a control.
    corrected_high_unit_selection, truth_panel
        Which units were selected, which are in the truth panel.
    matches, stimulus_sets
        The cell match of every later scan that the confusion went by, and the set that it showed.
    proximity_matches, assigned_matches
        Those of both rules, to compare them; in the order of ``matches``.
    source_truth, later_truths
        The animal's truth of the source scan and of the later scans, in the order of ``matches``; without
        them nothing is said about the accuracy of the matching.
    """
    both_rules = {"proximity_": proximity_matches, "assigned_": assigned_matches}
    rules = {"": matches} | {rule: refs for rule, refs in both_rules.items() if refs}

    def build(attempt: Attempt) -> None:
        summary = store.table(z_summary_confusion, "z_summary_confusion")
        by_control = {
            cast(Control, store.manifest(ref).config["control"]): store.table(ref, ref.kind)
            for ref in diagonals
        }
        selection = store.table(corrected_high_unit_selection, "corrected_high_unit_selection")
        selected = of_source(selection, config.source_name)
        selected = (
            selected.filter(pl.col("hu_rank").is_not_null()).select("unit_id", "hu_rank").sort("hu_rank")
        )
        panel = (
            pl.DataFrame(schema={"unit_id": pl.Int64, "kind": pl.String})
            if truth_panel is None
            else of_source(store.table(truth_panel, "truth_panel"), config.source_name)
        )
        evidence = loop_evidence(
            summary,
            by_control,
            selected["unit_id"].to_list(),
            panel.filter(pl.col("kind") == "complex")["unit_id"].to_list(),
            n_permutations=config.n_permutations,
            seed=config.seed,
        )
        rows = evidence_rows(evidence)
        if source_truth is not None:
            for rule, refs in rules.items():
                known = list(zip(refs, stimulus_sets, later_truths, strict=True))
                judged = _judged(store, source_truth, known, config.source_name)
                rows = pl.concat([rows, match_rows(judged, rule)])
        if assigned_matches:
            kept = [kept_matches(store, ref)["probability"] for ref in assigned_matches]
            rows = pl.concat([rows, expected_match_rows(pl.concat(kept))])
        attempt.write_table("evidence", rows)
        attempt.write_table("unit_evidence", unit_rows(summary, by_control, selected, panel))
        days = list(zip(z_score_confusions, matches, stimulus_sets, strict=True))
        notes = pl.concat([*_notes(store, days, config.source_name), loop_notes(summary, by_control)])
        attempt.write_table("notes", notes)
        attempt.report(n_selected_left_out=evidence.n_selected - evidence.n_units, n_notes=notes.height)

    inputs: dict[str, ArtifactRef | Sequence[ArtifactRef]] = {
        "z_summary_confusion": z_summary_confusion,
        "z_score_confusions": list(z_score_confusions),
        "diagonals": list(diagonals),
        "corrected_high_unit_selection": corrected_high_unit_selection,
        "matches": list(matches),
        "stimulus_sets": list(stimulus_sets),
    }
    inputs |= {f"{rule}matches": list(refs) for rule, refs in rules.items()}
    if truth_panel is not None:
        inputs["truth_panel"] = truth_panel
    if source_truth is not None:
        inputs |= {"source_truth": source_truth, "later_truths": list(later_truths)}
    return store.make(EVIDENCE, config, build, inputs=inputs)


def _notes(
    store: ArtifactStore,
    days: Sequence[tuple[ArtifactRef, ArtifactRef, ArtifactRef]],
    source_name: str | None,
) -> list[pl.DataFrame]:
    parts = []
    for confusion, match, stimulus_set in days:
        scan = ScanKey.model_validate(store.manifest(confusion).config["scan"])
        images = shown_images(store.table(stimulus_set, "conditions"), source_name)
        parts.append(
            scan_notes(str(scan), images, kept_matches(store, match), store.table(confusion, confusion.kind))
        )
    return parts


def _judged(
    store: ArtifactStore,
    source_truth: ArtifactRef,
    days: Sequence[tuple[ArtifactRef, ArtifactRef, ArtifactRef]],
    source_name: str | None,
) -> pl.DataFrame:
    """Every unit that was to be matched on any later day: those with an image, and others matched too."""
    source = store.table(source_truth, "units").select("unit_id", "cell_id")
    parts = []
    for match, stimulus_set, later_truth in days:
        rows = store.table(match, match.kind)
        imaged = shown_images(store.table(stimulus_set, "conditions"), source_name)["image_unit_id"]
        units = pl.concat([imaged, rows["source_unit_id"]]).unique().sort().alias("unit_id").to_frame()
        later = store.table(later_truth, "units").select("unit_id", "cell_id")
        parts.append(judged_matches(units, kept_matches(store, match), source, later))
    return pl.concat(parts)

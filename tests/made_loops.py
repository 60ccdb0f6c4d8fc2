"""Loops of known content in a store, made by hand from confusions: to test an analysis over loops."""

from __future__ import annotations

import numpy as np
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.confusion import Z_SCORE_CONFUSION, ConfusionConfig
from inception_loop.closed_loop.diagonal import (
    OWN,
    DiagonalEntryConfig,
    make_z_summary_confusion_diagonal_entry,
)
from inception_loop.closed_loop.evidence import evidence_rows, loop_evidence
from inception_loop.closed_loop.evidence_artifact import EVIDENCE, EvidenceConfig
from inception_loop.closed_loop.matching import (
    BEST_PROXIMITY_CELL_MATCH,
    PROXIMITY_CELL_MATCH,
    BestProximityCellMatchConfig,
    ProximityCellMatchConfig,
)
from inception_loop.closed_loop.summary import SummaryConfusionConfig, make_z_summary_confusion
from inception_loop.recordings.recording import ScanKey
from inception_loop.selection.high_units import (
    CORRECTED_HIGH_UNIT_SELECTION,
    CorrectedHighUnitSelectionConfig,
)


def confusion_rows(scan: ScanKey, n_units: int, models, effect: float, seed: int) -> pl.DataFrame:
    """Every unit's mean responses to every unit's images: own MEIs drive most, by about ``effect``."""
    rng = np.random.default_rng(seed)
    rows = [
        scan.model_dump()
        | {"model_type": model, "image_unit_id": image, "source_unit_id": unit, "unit_id": 100 + unit}
        | {"mu_resp": value, "var_resp": 0.5, "n_repeats": 5, "pilot_resp": 0.0, "offset_resp": value}
        for model in models
        for image in range(n_units)
        for unit in range(n_units)
        for value in [float(rng.normal((effect if "cnn" in model else 0.1) * (image == unit), 0.3))]
    ]
    return pl.DataFrame(rows)


def make_loop(
    store: ArtifactStore,
    loop_group: int,
    animal_id: int,
    *,
    n_units: int = 8,
    models=("cnn", "linear", "natural"),
    session: int = 1,
    effect: float = 0.8,
    seed: int = 0,
    one_cell: int = 0,
) -> ArtifactRef:
    """Write the evidence of one loop and what an analysis over loops reads beside it; return the evidence.

    The first ``one_cell`` units are matched to one cell.
    """
    source = ScanKey(animal_id=animal_id, session=session, scan_idx=1)
    later = ScanKey(animal_id=animal_id, session=session + 1, scan_idx=1)
    of = {"scan": later, "loop_group": loop_group}
    empty = lambda kind: _writing(kind, {})  # noqa: E731
    proximity = store.make(
        PROXIMITY_CELL_MATCH, ProximityCellMatchConfig(**of, source_scan=source), empty(PROXIMITY_CELL_MATCH)
    ).ref
    match = store.make(
        BEST_PROXIMITY_CELL_MATCH,
        BestProximityCellMatchConfig(**of),
        empty(BEST_PROXIMITY_CELL_MATCH),
        {"proximity_cell_match": proximity},
    ).ref
    rows = confusion_rows(later, n_units, models, effect, seed + 10 * loop_group)
    unit = pl.when(pl.col("source_unit_id") < one_cell).then(100).otherwise(pl.col("unit_id"))
    rows = rows.with_columns(unit_id=unit)
    confusion = store.make(
        Z_SCORE_CONFUSION,
        ConfusionConfig(**of),
        _writing(Z_SCORE_CONFUSION, {"z_score_confusion": rows}),
        {"cell_match": match},
    ).ref
    summary = make_z_summary_confusion(
        store, SummaryConfusionConfig(loop_group=loop_group), confusions=[confusion]
    ).ref
    diagonals = [
        make_z_summary_confusion_diagonal_entry(
            store, DiagonalEntryConfig(loop_group=loop_group, control=control), z_summary_confusion=summary
        ).ref
        for control, own in OWN.items()
        if {control, own} <= set(models)
    ]
    chosen = pl.DataFrame({"unit_id": range(n_units), "hu_rank": range(n_units)})
    selection = store.make(
        CORRECTED_HIGH_UNIT_SELECTION,
        CorrectedHighUnitSelectionConfig(group_id=animal_id),
        _writing(CORRECTED_HIGH_UNIT_SELECTION, {"corrected_high_unit_selection": chosen}),
    ).ref
    tables = {ref: store.table(ref, ref.kind) for ref in diagonals}
    found = loop_evidence(
        store.table(summary, "z_summary_confusion"),
        {table["control"][0]: table for table in tables.values() if table.height},
        list(range(n_units)),
        n_permutations=99,
    )
    inputs = {
        "z_summary_confusion": summary,
        "z_score_confusions": [confusion],
        "diagonals": diagonals,
        "corrected_high_unit_selection": selection,
        "matches": [match],
    }
    writing = _writing(EVIDENCE, {"evidence": evidence_rows(found)})
    return store.make(EVIDENCE, EvidenceConfig(loop_group=loop_group, seed=seed), writing, inputs).ref


def _writing(kind, tables):
    """Return what writes an artifact: columns that are not given are null or nothing of their type."""

    def build(attempt):
        for name, payload in kind.payloads.items():
            frame = tables.get(name)
            nothing = {"string": "", "int64": 0, "double": 0.0, "bool": False}
            columns = payload.columns
            if frame is None:
                frame = pl.DataFrame(schema=list(columns))
            more = {
                column: pl.lit(None if declared.nullable else nothing[str(declared.type)])
                for column, declared in columns.items()
                if column not in frame.columns
            }
            attempt.write_table(name, frame.with_columns(**more).select(list(columns)))

    return build

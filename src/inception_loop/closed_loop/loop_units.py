"""What each of several loops brings into one analysis: its units, by comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.diagonal import CONTROLS, OWN, Control
from inception_loop.closed_loop.images import of_source, shown_images
from inception_loop.closed_loop.matrix import ConfusionMatrix, confusion_matrix, mean_of_others
from inception_loop.closed_loop.statistics.of_loop import (
    OWN_IMAGE,
    SCAN,
    WHAT,
    not_independent,
    shared_trials,
)
from inception_loop.closed_loop.statistics.over_loops import OTHERS
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

UNIT_COLUMNS = ("comparison", "loop", "animal", "source_scan", "source_unit_id", "own", "control")


@dataclass(frozen=True)
class LoopUnits:
    """What one loop brings into the analysis.

    Attributes
    ----------
    name : of the loop
    loop_group, animal, source_scan, evidence : number, animal, scan of the source, digest of its evidence
    n_later_scans, n_selected, n_units, own_image_is_best, diagonal_p_value : as in the table ``loops``
    units : comparison → rows ``source_unit_id, own, control``, of the units that the loop's claim is about
    shared : comparison → how many of these share trials with another, in words; those where any does
    matrices : comparison with the other units' images → confusion matrix, of two units at least
    """

    name: str
    loop_group: int
    animal: str
    source_scan: str
    evidence: str
    n_later_scans: int
    n_selected: int
    n_units: int
    own_image_is_best: int
    diagonal_p_value: float | None
    units: dict[str, pl.DataFrame]
    shared: dict[str, str]
    matrices: dict[str, ConfusionMatrix]


def read_loop(store: ArtifactStore, evidence: ArtifactRef) -> LoopUnits:
    """Read what one loop brings into an analysis over loops, from its evidence and what that was made of.

    Units count as in the evidence: selected units that were shown the own image of every selected unit.
    """
    manifest, inputs = store.manifest(evidence), store.inputs(evidence)
    source = _source_scan(store, inputs["matches"][0])
    selected = _selected(
        store, inputs["corrected_high_unit_selection"][0], manifest.config.get("source_name")
    )
    summary = store.table(inputs["z_summary_confusion"][0], "z_summary_confusion")
    matrices = {own: confusion_matrix(summary, selected, own) for own in OWN_IMAGE}
    units = {own + OTHERS: _others(matrix) for own, matrix in matrices.items()}
    for ref in inputs["diagonals"]:
        rows = store.table(ref, ref.kind)
        if rows.height:
            control = rows["control"][0]
            units[f"{OWN[control]}_{control}"] = _entries(rows, matrices[OWN[control]])
    units = {key: table for key, table in units.items() if table.height}
    own = _own_responses(store, inputs, manifest.config.get("source_name"))
    shared = {key: _shared(own, key, table) for key, table in units.items()}
    rows = store.table(evidence, "evidence")
    numbers = {row["key"]: row for row in rows.iter_rows(named=True)}
    return LoopUnits(
        name=str(manifest.config["loop_group"]),
        loop_group=manifest.config["loop_group"],
        animal=str(source.animal_id),
        source_scan=str(source),
        evidence=evidence.digest,
        n_later_scans=len(inputs["z_score_confusions"]),
        n_selected=len(selected),
        n_units=len(matrices["cnn"].unit_ids),
        own_image_is_best=numbers["own_image_is_best_share"]["count"],
        diagonal_p_value=numbers["diagonal_p_value"]["value"],
        units=units,
        shared={key: note for key, note in shared.items() if note},
        matrices={own + OTHERS: matrix for own, matrix in matrices.items() if own + OTHERS in units},
    )


def named_apart(loops: Sequence[LoopUnits]) -> list[LoopUnits]:
    """Return the loops with names that tell them apart.

    Raises
    ------
    DataError
        If a loop is there twice.
    """
    numbers = [one.loop_group for one in loops]
    for place, one in enumerate(loops):
        for other in loops[:place]:
            if (one.loop_group, one.source_scan) == (other.loop_group, other.source_scan):
                raise DataError(
                    f"loop {one.loop_group} of scan {one.source_scan} is given twice "
                    f"(evidence/{other.evidence[:12]}, evidence/{one.evidence[:12]}); expected each loop once"
                )
    return [
        replace(one, name=f"{one.name} of {one.source_scan}") if numbers.count(one.loop_group) > 1 else one
        for one in loops
    ]


def compared(loops: Sequence[LoopUnits], controls: Sequence[Control] = ()) -> list[str]:
    """Return the comparisons that an analysis has, in the order of display.

    Raises
    ------
    DataError
        If a loop lacks a comparison that was asked for, or no two loops share any.
    """
    asked = [f"{OWN[control]}_{control}" for control in controls]
    for key in asked:
        without = [one.name for one in loops if key not in one.units]
        if without:
            has = sorted({known for one in loops if one.name in without for known in _of(one)})
            raise DataError(
                f"loop {', '.join(without)} does not compare {key}; it has {', '.join(has) or 'nothing'}; "
                "leave the loop out, or ask for comparisons that every loop has"
            )
    order = ["cnn_others", *(f"{OWN[control]}_{control}" for control in CONTROLS), "masked_cnn_others"]
    wanted = [key for key in order if not asked or key in asked or key.endswith(OTHERS)]
    shared = [key for key in wanted if sum(key in one.units for one in loops) > 1]
    if not any(not key.endswith(OTHERS) for key in shared):
        said = "; ".join(f"loop {one.name}: {', '.join(_of(one)) or 'nothing'}" for one in loops)
        raise DataError(
            f"no two of {len(loops)} loops compare the same images ({said}); expected loops that share a "
            "comparison"
        )
    return [key for key in wanted if any(key in one.units for one in loops)]


def _of(loop: LoopUnits) -> list[str]:
    return [key for key in loop.units if not key.endswith(OTHERS)]


def unit_table(loops: Sequence[LoopUnits], comparisons: Sequence[str]) -> pl.DataFrame:
    """Return the units of all loops, by comparison and loop; columns `UNIT_COLUMNS`."""
    parts = [
        one.units[key].with_columns(
            comparison=pl.lit(key),
            loop=pl.lit(one.name),
            animal=pl.lit(one.animal),
            source_scan=pl.lit(one.source_scan),
        )
        for key in comparisons
        for one in loops
        if key in one.units
    ]
    return pl.concat(parts).select(UNIT_COLUMNS)


def words_of(comparison: str) -> str:
    """Return a comparison in words.

    Examples
    --------
    >>> words_of("cnn_linear"), words_of("cnn_others")
    ('own MEI against own RF image', 'own MEI against those of the other units')
    """
    for control, what in WHAT.items():
        if comparison == f"{OWN[control]}_{control}":
            return what
    return f"{OWN_IMAGE[comparison.removesuffix(OTHERS)]} against those of the other units"


def _source_scan(store: ArtifactStore, match: ArtifactRef) -> ScanKey:
    """Return the source scan of a cell match of either rule."""
    config = store.manifest(match).config
    if "source_scan" not in config:
        (proximity,) = store.inputs(match)["proximity_cell_match"]
        config = store.manifest(proximity).config
    return ScanKey.model_validate(config["source_scan"])


def _own_responses(
    store: ArtifactStore, inputs: Mapping[str, Sequence[ArtifactRef]], source_name: str | None
) -> pl.DataFrame:
    """Return which cell of which scan answered which own image for which unit."""
    image, parts = ["model_type", "image_unit_id"], []
    sets = inputs.get("stimulus_sets", [None] * len(inputs["z_score_confusions"]))
    for confusion, shown in zip(inputs["z_score_confusions"], sets, strict=True):
        rows = store.table(confusion, confusion.kind).filter(
            pl.col("image_unit_id") == pl.col("source_unit_id")
        )
        if shown is None:
            rows = rows.with_columns(condition_hash=pl.format("{}-{}", *image))
        else:
            rows = rows.join(shown_images(store.table(shown, "conditions"), source_name), on=image)
        parts.append(rows.select(*SCAN, "model_type", "source_unit_id", "unit_id", "condition_hash"))
    return pl.concat(parts)


def _shared(own: pl.DataFrame, comparison: str, units: pl.DataFrame) -> str:
    rows = own.filter(pl.col("source_unit_id").is_in(units["source_unit_id"].implode()))
    for control, image in OWN.items():
        if comparison == f"{image}_{control}":
            return not_independent(rows, control)
    return shared_trials(rows, [comparison.removesuffix(OTHERS)])


def _selected(store: ArtifactStore, selection: ArtifactRef, source_name: str | None) -> list[int]:
    table = of_source(store.table(selection, selection.kind), source_name)
    units: list[int] = table.drop_nulls("hu_rank").sort("hu_rank")["unit_id"].to_list()
    return units


def _others(matrix: ConfusionMatrix) -> pl.DataFrame:
    own = np.diag(matrix.responses)
    others = mean_of_others(matrix) if own.size > 1 else own
    rows = pl.DataFrame({"source_unit_id": matrix.unit_ids, "own": own, "control": others})
    return rows.sort("source_unit_id") if own.size > 1 else rows.clear()


def _entries(rows: pl.DataFrame, matrix: ConfusionMatrix) -> pl.DataFrame:
    counted = rows.filter(pl.col("source_unit_id").is_in(matrix.unit_ids.tolist()))
    return counted.select("source_unit_id", own="cnn_resp", control="rf_resp")

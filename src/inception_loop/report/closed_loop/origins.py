"""From which artifacts each number, test and figure of a loop comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore

Refs = Mapping[str, Sequence[ArtifactRef]]

NO_ORIGINS = pl.DataFrame(schema=dict.fromkeys(("of", "name", "kind", "about", "digest"), pl.String))

_DIAGONAL = "z_summary_confusion_diagonal_entry"
_MATRIX = ("z_summary_confusion", "corrected_high_unit_selection")
USED = "matches used"
"""Stands for the matches of the rule that the loop went by."""
_MATCHED = ("best_proximity_cell_match", "assigned_cell_match")
NUMBERS: Mapping[str, tuple[str, ...]] = {
    "n_units": _MATRIX,
    "own_mei_over_own_rf_share": (f"{_DIAGONAL}:linear", *_MATRIX),
    "own_mei_over_best_natural_share": (f"{_DIAGONAL}:natural", *_MATRIX),
    "own_mei_over_own_gabor_share": (f"{_DIAGONAL}:gabor", *_MATRIX),
    "own_masked_mei_over_own_masked_natural_share": (f"{_DIAGONAL}:masked_natural", *_MATRIX),
    "own_image_is_best_share": _MATRIX,
    "diagonal_p_value": _MATRIX,
    "diagonal_mean": _MATRIX,
    "diagonal_null_mean": _MATRIX,
    "panel_complex_mei_over_rf_share": (f"{_DIAGONAL}:linear", "truth_panel"),
    "match_accuracy": (USED, "animal_truth"),
    "missing_matched_share": (USED, "animal_truth"),
    "proximity_match_accuracy": ("best_proximity_cell_match", "animal_truth"),
    "proximity_missing_matched_share": ("best_proximity_cell_match", "animal_truth"),
    "assigned_match_accuracy": ("assigned_cell_match", "animal_truth"),
    "assigned_missing_matched_share": ("assigned_cell_match", "animal_truth"),
    "assigned_expected_right_share": ("assigned_cell_match",),
}
"""Number of the evidence → kinds that it is computed from (after a colon: which control)."""

FIGURES: Mapping[str, tuple[str, ...]] = {
    "confusion-z": _MATRIX,
    "confusion-plain": ("summary_confusion", "corrected_high_unit_selection"),
    "confusion-controls": _MATRIX,
    "preference": _MATRIX,
    "diagonal-linear": (f"{_DIAGONAL}:linear", "loop_tests"),
    "diagonal-natural": (f"{_DIAGONAL}:natural", "loop_tests"),
    "diagonal-gabor": (f"{_DIAGONAL}:gabor", "loop_tests"),
    "diagonal-masked_natural": (f"{_DIAGONAL}:masked_natural", "loop_tests"),
    "match-map": (USED, "stack_coordinates"),
    "match-distance": (USED,),
    "match-probability": ("assigned_cell_match",),
    "match-tuning": ("cell_match_oracle_correlation",),
    "units": ("own_response", "stimulus_set"),
}
"""Figure → kinds whose tables it draws; all sheets of units are named by their beginning."""

TESTS = ("loop_tests", *_MATRIX, _DIAGONAL, "own_response", "truth_panel")

CHAIN = (
    "evidence",
    "loop_tests",
    _DIAGONAL,
    "z_summary_confusion",
    "z_score_confusion",
    "own_response",
    *_MATCHED,
    "stimulus_set",
    "input_response",
    "recording",
)
"""Kinds from a share down to the trials."""


def collect_origins(store: ArtifactStore, refs: Refs) -> pl.DataFrame:
    """Return one row for each artifact that a number, the tests or a figure come from.

    Parameters
    ----------
    store
        Where the artifacts stand.
    refs
        Those of the loop by kind; kinds that are missing have no row.
    """
    evidence = refs.get("evidence", ())
    wanted = [("numbers", key, ("evidence", *kinds)) for key, kinds in NUMBERS.items() if evidence]
    truth = [
        ("numbers", key, ("recovered_truth",))
        for ref in refs.get("recovered_truth", ())
        for key in store.table(ref, "recovered_truth")["key"]
    ]
    wanted += [*truth, ("tests", "", TESTS), *(("figure", name, kinds) for name, kinds in FIGURES.items())]
    rows = [
        (of, name, ref.kind, about(store, ref), ref.digest)
        for of, name, kinds in wanted
        for ref in _found(store, refs, kinds)
    ]
    return pl.DataFrame(rows, schema=NO_ORIGINS.schema, orient="row").unique(maintain_order=True)


def _found(store: ArtifactStore, refs: Refs, kinds: Sequence[str]) -> list[ArtifactRef]:
    found = []
    for entry in kinds:
        if entry == USED:
            found += store.inputs(refs["evidence"][0]).get("matches", [])
            continue
        kind, _, control = entry.partition(":")
        for ref in refs.get(kind, ()):
            if not control or store.manifest(ref).config["control"] == control:
                found.append(ref)
    return found


def about(store: ArtifactStore, ref: ArtifactRef) -> str:
    """Return in words what an artifact is about: its scan, group or loop, and its control if it has one."""
    _, *scope, _ = store.key(ref).split("/")
    control = store.manifest(ref).config.get("control")
    return scope_words(scope) + (f", {control}" if control else "")


def scope_words(parts: Sequence[str]) -> str:
    """Return the readable part of an address in words.

    Examples
    --------
    >>> scope_words(["animal_id=4", "session=1", "scan_idx=2"]), scope_words(["loop_group=0"])
    ('scan 4-1-2', 'loop 0')
    """
    values = dict(part.split("=", 1) for part in parts)
    if list(values) == ["animal_id", "session", "scan_idx"]:
        return f"scan {'-'.join(values.values())}"
    short = {"group_id": "group", "loop_group": "loop"}
    return ", ".join(f"{short.get(name, name)} {value}" for name, value in values.items())

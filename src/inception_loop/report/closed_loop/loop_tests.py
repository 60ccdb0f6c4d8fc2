"""Every test of one loop from its tables: own images against others' and against their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from inception_loop.closed_loop.diagonal import CONTROLS, OWN
from inception_loop.closed_loop.matrix import confusion_matrix
from inception_loop.closed_loop.statistics.of_loop import WHAT, loop_unit_tests, not_independent
from inception_loop.closed_loop.statistics.rows import comparison_rows, diagonal_rows, per_unit_row
from inception_loop.closed_loop.statistics.table_of_tests import SCHEMA, Row, table_of_tests
from inception_loop.report.closed_loop.names import OWN_NAMES, comparison_key

NO_TESTS = pl.DataFrame(schema=SCHEMA)
NO_UNIT_TESTS = pl.DataFrame(
    schema={
        "control": pl.String,
        "source_unit_id": pl.Int64,
        "n_own": pl.Int64,
        "n_control": pl.Int64,
        "difference": pl.Float64,
        "p_value": pl.Float64,
        "q_value": pl.Float64,
        "p_smallest": pl.Float64,
        "method": pl.String,
        "reason": pl.String,
    }
)
PANEL = "panel_complex"


def loop_tests(
    z_summary: pl.DataFrame,
    z_diagonals: Mapping[str, pl.DataFrame],
    selected: Sequence[int],
    panel_complex: Sequence[int],
    own_responses: pl.DataFrame,
    tested: pl.DataFrame,
    *,
    n_permutations: int = 99_999,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the table of tests of one loop, in words, as `table_of_tests` makes it.

    Parameters
    ----------
    z_summary
        Rows of ZSummaryConfusion.
    z_diagonals
        Control → rows of its diagonal entry, z-scored.
    selected
        Source units that the selection rule chose; those count that were shown every MEI of theirs.
    panel_complex
        Complex units of the truth panel: compared with their RF images, apart from the others.
    own_responses, tested
        Trials of own images, and rows of `own_unit_tests`; empty where the trials are not known.
    n_permutations, seed
        Of the permutations and sign flips.
    """
    rows: list[Row] = []
    counted: dict[str, list[int]] = {}
    for own, name in OWN_NAMES.items():
        matrix = confusion_matrix(z_summary, selected, own)
        counted[own] = matrix.unit_ids.tolist()
        if len(matrix.unit_ids) > 1:
            what = f"{name} against those of other units"
            rows += diagonal_rows(own, what, matrix, n_permutations=n_permutations, seed=seed)
    for control in CONTROLS:
        if control not in z_diagonals:
            continue
        units = counted["cnn"] if OWN[control] == "cnn" else list(selected)
        of = pl.col("source_unit_id").is_in(units)
        key, entries = comparison_key(control), z_diagonals[control].filter(of)
        if entries.height:
            found = _compared(key, WHAT[control], entries, n_permutations, seed)
            one_by_one = tested.filter(of, pl.col("control") == control)
            found += [per_unit_row(key, WHAT[control], one_by_one)] if one_by_one.height else []
            note = not_independent(own_responses.filter(of), control)
            rows += [row | {"words": f"{row['words']}; {note}"} if note else row for row in found]
    panel = z_diagonals.get("linear", pl.DataFrame(schema={"source_unit_id": pl.Int64}))
    panel = panel.filter(pl.col("source_unit_id").is_in(list(panel_complex)))
    if panel.height:
        key, what = (
            f"{PANEL}_{comparison_key('linear')}",
            f"complex cells of the truth panel: {WHAT['linear']}",
        )
        rows += _compared(key, what, panel, n_permutations, seed)
    return table_of_tests(rows)


def _compared(key: str, what: str, entries: pl.DataFrame, n_permutations: int, seed: int) -> list[Row]:
    own, control = entries["cnn_resp"].to_numpy(), entries["rf_resp"].to_numpy()
    return comparison_rows(key, what, own, control, scale="z", n_permutations=n_permutations, seed=seed)


def own_unit_tests(responses: pl.DataFrame, units: Sequence[int], *, seed: int = 0) -> pl.DataFrame:
    """Return each unit's test of its own image against each control, by permutation of its trials.

    Parameters
    ----------
    responses
        Trials of own images, rows of `own_response`. Labels are exchanged within a scan.
    units
        Whom to test: the q-values are corrected over these.
    seed
        Of the permutations.

    Returns
    -------
    Table ``control, source_unit_id, n_own, n_control, difference`` (z-score), ``p_value, q_value, p_smallest,
    method, reason``.
    """
    mine = responses.filter(pl.col("source_unit_id").is_in(list(units)))
    shown = set(mine["model_type"])
    controls = [control for control in CONTROLS if {control, OWN[control]} <= shown]
    if not controls:
        return NO_UNIT_TESTS
    found = loop_unit_tests(mine, controls, seed=seed).rename({"unit_id": "source_unit_id"})
    return found.select(NO_UNIT_TESTS.columns)

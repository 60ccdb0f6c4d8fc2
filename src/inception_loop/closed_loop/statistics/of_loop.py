"""The statistics of one loop from its tables: trials, diagonal entries, confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from inception_loop.closed_loop.diagonal import OWN, WORDS, Control
from inception_loop.closed_loop.matrix import ConfusionMatrix
from inception_loop.closed_loop.statistics.per_unit import unit_tests
from inception_loop.closed_loop.statistics.power import Variances, variances
from inception_loop.closed_loop.statistics.rows import comparison_rows, diagonal_rows, per_unit_row
from inception_loop.closed_loop.statistics.table_of_tests import Row, table_of_tests
from inception_loop.errors import DataError

WHAT: Mapping[Control, str] = {control: " against ".join(names) for control, names in WORDS.items()}
"""Control → what is compared, in words."""

OWN_IMAGE: Mapping[str, str] = {"cnn": "own MEI", "masked_cnn": "own masked MEI"}
"""Model type of images made for a unit → what they are called."""

SCAN = ("animal_id", "session", "scan_idx")


def own_and_control_trials(own_responses: pl.DataFrame, control: Control) -> pl.DataFrame:
    """Return the trials of one comparison as `unit_tests` takes them.

    Parameters
    ----------
    own_responses
        Rows of `own_response` of all scans of the loop.
    control
        Which comparison.

    Returns
    -------
    Table ``unit_id`` (the source unit), ``image`` (own, control), ``response`` (z-score over the scan) and
    the scan; units that were shown both images.

    Examples
    --------
    >>> rows = [(1, 1, 1, "cnn", 5, 0.9), (1, 1, 1, "linear", 5, 0.1), (1, 1, 1, "cnn", 6, 0.2)]
    >>> names = [*SCAN, "model_type", "source_unit_id", "z_response"]
    >>> table = own_and_control_trials(pl.DataFrame(rows, schema=names, orient="row"), "linear")
    >>> table.select("unit_id", "image", "response").rows()
    [(5, 'own', 0.9), (5, 'control', 0.1)]
    """
    names = {OWN[control]: "own", control: "control"}
    rows = own_responses.filter(pl.col("model_type").is_in(list(names))).select(
        pl.col("source_unit_id").alias("unit_id"),
        pl.col("model_type").replace_strict(names, return_dtype=pl.String).alias("image"),
        pl.col("z_response").alias("response"),
        *SCAN,
    )
    return rows.filter(pl.col("image").n_unique().over("unit_id") == 2)


def loop_unit_tests(
    own_responses: pl.DataFrame,
    controls: Sequence[Control],
    *,
    n_permutations: int = 9_999,
    seed: int = 0,
) -> pl.DataFrame:
    """Return `unit_tests` of every comparison, ``control`` first; labels are exchanged within a scan only.

    q-values are corrected over the units of one comparison.
    """
    parts = []
    for control in controls:
        trials = own_and_control_trials(own_responses, control)
        tests = unit_tests(trials, within=SCAN, n_permutations=n_permutations, seed=seed)
        parts.append(tests.select(pl.lit(control, dtype=pl.String).alias("control"), pl.all()))
    if not parts:
        raise DataError("no comparison was asked; expected at least one control image")
    return pl.concat(parts)


def not_independent(own_responses: pl.DataFrame, control: Control) -> str:
    """Say how many units of a comparison share trials: by an image that was made for both, or by a cell.

    Such units share their noise, for which neither interval nor test allows.

    Examples
    --------
    >>> rows = [("cnn", 5, 50, "a"), ("cnn", 6, 60, "b"), ("natural", 5, 50, "c"), ("natural", 6, 60, "c")]
    >>> frame = pl.DataFrame(rows, schema=["model_type", "source_unit_id", "unit_id", "condition_hash"],
    ...                      orient="row").with_columns(animal_id=1, session=1, scan_idx=1)
    >>> not_independent(frame, "natural")
    '2 of 2 units share an image with another and its noise'
    >>> not_independent(frame, "linear")
    ''
    """
    return shared_trials(own_responses, (OWN[control], control))


def shared_trials(own_responses: pl.DataFrame, model_types: Sequence[str]) -> str:
    """Say the same of units that were shown their own images of all these model types.

    Examples
    --------
    >>> rows = [("cnn", 5, 50, "a"), ("cnn", 6, 50, "b"), ("cnn", 7, 70, "c")]
    >>> frame = pl.DataFrame(rows, schema=["model_type", "source_unit_id", "unit_id", "condition_hash"],
    ...                      orient="row").with_columns(animal_id=1, session=1, scan_idx=1)
    >>> shared_trials(frame, ["cnn"])
    '2 of 3 units share a cell with another and its noise'
    """
    rows = own_responses.filter(pl.col("model_type").is_in(list(model_types)))
    rows = rows.filter(pl.col("model_type").n_unique().over("source_unit_id") == len(model_types))
    several = pl.col("source_unit_id").n_unique() > 1
    n = rows["source_unit_id"].n_unique()
    found = []
    for keys, name in ((["condition_hash"], "an image"), ([*SCAN, "unit_id"], "a cell")):
        count = rows.filter(several.over(keys))["source_unit_id"].n_unique()
        if count:
            found.append(f"{count} of {n} units share {name} with another and its noise")
    return "; ".join(found)


def loop_variances(diagonal: pl.DataFrame) -> Variances:
    """Return what a comparison teaches about the next, from rows of `diagonal_entry`.

    Units that were shown an image once are left out: their noise is unknown.

    Raises
    ------
    DataError
        If fewer than two units are left.

    Examples
    --------
    >>> entry = {"diff_resp": [0.2, 0.6, 1.0], "cnn_sem": [0.1] * 3, "rf_sem": [0.1] * 3,
    ...          "cnn_repeats": [10] * 3, "rf_repeats": [10] * 3}
    >>> round(loop_variances(pl.DataFrame(entry)).within_repeats, 3)
    0.2
    """
    rows = diagonal.filter((pl.col("cnn_repeats") > 1) & (pl.col("rf_repeats") > 1))
    columns = ("diff_resp", "cnn_sem", "rf_sem", "cnn_repeats", "rf_repeats")
    return variances(*(rows[name].to_numpy() for name in columns))


def loop_tests(
    diagonals: Mapping[Control, pl.DataFrame],
    own_responses: pl.DataFrame,
    tests: pl.DataFrame,
    matrices: Mapping[str, ConfusionMatrix],
    panel_complex: Sequence[int] = (),
    *,
    n_permutations: int = 99_999,
    seed: int = 0,
) -> pl.DataFrame:
    """Return every test of one loop as a row, see `table_of_tests`.

    Parameters
    ----------
    diagonals
        Control → rows of `diagonal_entry` in z-scores. Those units count that stand in the matrix of
        their own images.
    own_responses
        Rows of `own_response` of all scans of the loop.
    tests
        Rows of `loop_unit_tests`, of the units that the claim is about.
    matrices
        Model type of the own images (cnn, masked_cnn) → their confusion matrix, in z-scores.
    panel_complex
        Complex units of the truth panel: their MEIs are compared with their RF images, apart from the others.
    n_permutations, seed
        Of the tests over units.

    Returns
    -------
    Rows ``<own>_<control>_interval, …_sign_flip, …_wilcoxon, …_share, …_per_unit`` for every control, the
    same of the panel (``panel_complex_cnn_linear_…``) and, of every matrix, ``<own>_diagonal`` and
    ``<own>_own_over_others``. Where units of a comparison share trials its words say so. p-values are
    corrected apart for MEIs, masked MEIs and the panel: what is asked beside the claim does not change it.
    """
    families: dict[str, list[Row]] = {own: [] for own in (*matrices, "panel")}
    over: dict[str, Any] = {"scale": "z", "n_permutations": n_permutations, "seed": seed}
    for control, entry in diagonals.items():
        units = matrices[OWN[control]].unit_ids.tolist()
        of_control = tests.filter(pl.col("unit_id").is_in(units), control=control)
        key = f"{OWN[control]}_{control}"
        families[OWN[control]] += _compared(
            key, WHAT[control], control, entry, own_responses, units, over, of_control
        )
    if panel_complex and "linear" in diagonals:
        what, key = f"complex cells of the truth panel: {WHAT['linear']}", "panel_complex_cnn_linear"
        entry = diagonals["linear"]
        families["panel"] += _compared(key, what, "linear", entry, own_responses, panel_complex, over)
    for own, matrix in matrices.items():
        what = f"{OWN_IMAGE[own]} against those of the other units"
        trials = own_responses.filter(pl.col("source_unit_id").is_in(matrix.unit_ids.tolist()))
        families[own] += _noted(diagonal_rows(own, what, matrix, **over), shared_trials(trials, [own]))
    return pl.concat([table_of_tests(rows) for rows in families.values()])


def _compared(
    key: str,
    what: str,
    control: Control,
    entry: pl.DataFrame,
    own_responses: pl.DataFrame,
    units: Sequence[int],
    over: Mapping[str, Any],
    of_control: pl.DataFrame | None = None,
) -> list[Row]:
    counted = entry.filter(pl.col("source_unit_id").is_in(list(units)))
    if not counted.height:
        return []
    own, other = counted["cnn_resp"].to_numpy(), counted["rf_resp"].to_numpy()
    found = comparison_rows(key, what, own, other, **over)
    if of_control is not None:
        found.append(per_unit_row(key, what, of_control))
    trials = own_responses.filter(pl.col("source_unit_id").is_in(counted["source_unit_id"].implode()))
    return _noted(found, not_independent(trials, control))


def _noted(rows: Sequence[Row], note: str) -> list[Row]:
    return [row | {"words": f"{row['words']}; {note}"} if note else row for row in rows]

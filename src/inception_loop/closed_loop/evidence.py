"""The claim in numbers: whether each cell prefers the image that was computed for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from inception_loop.closed_loop.diagonal import OWN, Control
from inception_loop.closed_loop.matching import match_accuracy
from inception_loop.closed_loop.matrix import (
    PermutationTest,
    confusion_matrix,
    diagonal_permutation_test,
    own_image_is_best,
)

NORMAL_975 = 1.959963984540054
"""97.5 % point of the standard normal distribution, for 95 % intervals."""

DEFINITIONS = {
    "n_units": "selected units whose matched cell was shown the MEI of every one of them; n = selected units",
    "own_mei_over_own_rf_share": "units whose mean z-scored response to their own MEI exceeds that to their "
    "own linear RF image",
    "own_mei_over_best_natural_share": "units whose mean z-scored response to their own MEI exceeds that to "
    "their own best natural image",
    "own_mei_over_own_gabor_share": "units whose mean z-scored response to their own MEI exceeds that to "
    "their own best Gabor",
    "own_masked_mei_over_own_masked_natural_share": "units whose mean z-scored response to their own masked "
    "MEI exceeds that to their own best masked natural image; n = selected units whose matched cell was "
    "shown the masked MEI of every one of them, and their own masked natural image",
    "own_image_is_best_share": "units whose own MEI gives their strictly largest mean z-scored response "
    "among the MEIs of all n units (by chance: 1/n)",
    "diagonal_p_value": "permutation of image labels: (b + 1)/(B + 1), b of B permutations whose mean "
    "response to the assigned MEI reaches the observed mean response to the own MEI; n = units",
    "diagonal_mean": "mean over units of the z-scored response to the own MEI",
    "diagonal_null_mean": "mean of the same over the permutations",
    "panel_complex_mei_over_rf_share": "complex units of the truth panel whose mean z-scored response to "
    "their own MEI exceeds that to their own linear RF image",
    "match_accuracy": "source units matched to themselves over source units present on the later day (n; of "
    "several days each pair of unit and day counts, and there is no interval: the cells are the same)",
    "missing_matched_share": "source units absent on the later day (n; pairs of unit and day, as above) that "
    "were matched to some cell anyway",
    "proximity_match_accuracy": "match_accuracy under the published rule: nearest soma, vote over stacks",
    "proximity_missing_matched_share": "missing_matched_share under the published rule",
    "assigned_match_accuracy": "match_accuracy of the one-to-one assignment by place and tuning; a cell that "
    "it leaves out is not matched to itself",
    "assigned_missing_matched_share": "missing_matched_share of the assignment, of what it keeps",
    "assigned_expected_right_share": "mean probability of being right, as the assignment itself estimates "
    "it, over the matches that it keeps (n)",
}


class Compared(NamedTuple):
    """How a comparison with one control is called: its share, and its column of the table of units."""

    share: str
    column: str


COMPARED: Mapping[Control, Compared] = {
    "linear": Compared("own_mei_over_own_rf_share", "mei_over_rf"),
    "natural": Compared("own_mei_over_best_natural_share", "mei_over_natural"),
    "gabor": Compared("own_mei_over_own_gabor_share", "mei_over_gabor"),
    "masked_natural": Compared(
        "own_masked_mei_over_own_masked_natural_share", "masked_mei_over_masked_natural"
    ),
}


@dataclass(frozen=True)
class Share:
    """How many of ``n`` units do something.

    Attributes
    ----------
    count, n : units that do, units asked
    value : count / n, None if no unit was asked
    lower, upper : 95 % Wilson score interval of the share, over units; None if no unit was asked

    Examples
    --------
    >>> Share(9, 10).value, round(Share(9, 10).lower, 3), Share(0, 0).value
    (0.9, 0.596, None)
    """

    count: int
    n: int

    @property
    def value(self) -> float | None:
        """The share."""
        return self.count / self.n if self.n else None

    @property
    def lower(self) -> float | None:
        """Lower end of its interval."""
        return max(0.0, self._centre() - self._half_width()) if self.n else None

    @property
    def upper(self) -> float | None:
        """Upper end of its interval."""
        return min(1.0, self._centre() + self._half_width()) if self.n else None

    def _centre(self) -> float:
        return (self.count + NORMAL_975**2 / 2) / (self.n + NORMAL_975**2)

    def _half_width(self) -> float:
        spread = self.count * (self.n - self.count) / self.n + NORMAL_975**2 / 4
        return NORMAL_975 * math.sqrt(spread) / (self.n + NORMAL_975**2)


@dataclass(frozen=True)
class LoopEvidence:
    """What one loop shows, over the selected units that were matched and shown their own images.

    Attributes
    ----------
    n_selected : units that the selection rule chose
    n_units : of these, those whose matched cell was shown every selected unit's MEI
    own_over_control : control → units with a larger mean response to their own MEI than to their own
        control image, among ``n_units``; of masked images among those shown all masked MEIs
    own_image_is_best : units whose own MEI gives their largest mean response among all ``n_units`` MEIs
    diagonal : None with fewer than two units
    panel_complex_mei_over_rf : that with the linear RF image, over the complex units of the truth panel
    """

    n_selected: int
    n_units: int
    own_over_control: Mapping[Control, Share]
    own_image_is_best: Share
    diagonal: PermutationTest | None
    panel_complex_mei_over_rf: Share


def prefers_own_mei(diagonal: pl.DataFrame, unit_ids: Sequence[int]) -> Share:
    """Count the units whose mean response to their own MEI is larger than to their own control image.

    Parameters
    ----------
    diagonal
        Rows of `diagonal_entry` of one control.
    unit_ids
        Units to ask; those without a row are not counted in ``n``.
    """
    asked = diagonal.filter(pl.col("source_unit_id").is_in(list(unit_ids)))
    return Share(asked.filter(pl.col("diff_resp") > 0).height, asked.height)


def loop_evidence(
    summary: pl.DataFrame,
    diagonals: Mapping[Control, pl.DataFrame],
    selected: Sequence[int],
    panel_complex: Sequence[int] = (),
    *,
    n_permutations: int = 99_999,
    seed: int = 0,
) -> LoopEvidence:
    """Return the evidence of one loop from its summary tables.

    Parameters
    ----------
    summary
        Rows of `summary_confusion`, in z-scores.
    diagonals
        Control → rows of `diagonal_entry` on the same scale; nothing is claimed of those not given.
    selected
        Source units that the selection rule chose, in the order of their rank.
    panel_complex
        Complex source units of the truth panel.
    n_permutations, seed
        Of the permutation test.
    """
    matrix = confusion_matrix(summary, selected)
    units = matrix.unit_ids.tolist()
    nothing = pl.DataFrame(schema={"source_unit_id": pl.Int64, "diff_resp": pl.Float64})
    asked = {"cnn": units}
    for own in {*OWN.values()} - {"cnn"}:
        asked[own] = confusion_matrix(summary, selected, own).unit_ids.tolist()
    shares = {
        control: prefers_own_mei(diagonals.get(control, nothing), asked[OWN[control]]) for control in COMPARED
    }
    test = (
        diagonal_permutation_test(matrix, n_permutations=n_permutations, seed=seed)
        if len(units) > 1
        else None
    )
    return LoopEvidence(
        n_selected=len(selected),
        n_units=len(units),
        own_over_control=shares,
        own_image_is_best=Share(int(own_image_is_best(matrix).sum()), len(units)) if test else Share(0, 0),
        diagonal=test,
        panel_complex_mei_over_rf=prefers_own_mei(diagonals.get("linear", nothing), panel_complex),
    )


def evidence_rows(evidence: LoopEvidence) -> pl.DataFrame:
    """Return the numbers of a loop as rows ``key, value, count, n, lower, upper, definition``."""
    shares = {name.share: evidence.own_over_control[control] for control, name in COMPARED.items()}
    shares |= {
        "own_image_is_best_share": evidence.own_image_is_best,
        "panel_complex_mei_over_rf_share": evidence.panel_complex_mei_over_rf,
    }
    test = evidence.diagonal
    rows = [_row("n_units", float(evidence.n_units), evidence.n_selected)]
    rows += [_share_row(key, share) for key, share in shares.items()]
    rows += [
        _row("diagonal_p_value", test.p_value if test else None, evidence.n_units),
        _row("diagonal_mean", test.statistic if test else None, evidence.n_units),
        _row("diagonal_null_mean", test.null_mean if test else None, evidence.n_units),
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def match_rows(judged: pl.DataFrame, rule: str = "") -> pl.DataFrame:
    """Return the numbers of the cell matching in the same form.

    Parameters
    ----------
    judged
        Rows of `judged_matches` of all later scans. A unit of several days is counted once a day; such rows
        are not independent, so there is no interval.
    rule
        What the keys begin with: nothing for the rule that the loop went by, ``proximity_``, ``assigned_``.
    """
    accuracy = match_accuracy(judged)
    rows = [
        _share_row(f"{rule}match_accuracy", Share(accuracy.n_right, accuracy.n_present)),
        _share_row(f"{rule}missing_matched_share", Share(accuracy.n_missing_matched, accuracy.n_missing)),
    ]
    if judged["source_unit_id"].is_duplicated().any():
        rows = [row | {"lower": None, "upper": None} for row in rows]
    return pl.DataFrame(rows, schema=_SCHEMA)


def expected_match_rows(probability: pl.Series) -> pl.DataFrame:
    """Return what share of the kept assignments is right by their own probabilities; no truth is needed."""
    value = None if probability.is_empty() else float(probability.mean())  # type: ignore[arg-type]
    row = _row("assigned_expected_right_share", value, len(probability))
    return pl.DataFrame([row], schema=_SCHEMA)


_SCHEMA = {
    "key": pl.String,
    "value": pl.Float64,
    "count": pl.Int64,
    "n": pl.Int64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "definition": pl.String,
}


def _row(key: str, value: float | None, n: int) -> dict[str, object]:
    return {"key": key, "value": value, "n": n, "definition": DEFINITIONS[key]}


def _share_row(key: str, share: Share) -> dict[str, object]:
    interval = {"count": share.count, "lower": share.lower, "upper": share.upper}
    return _row(key, share.value, share.n) | interval


def unit_rows(
    summary: pl.DataFrame,
    diagonals: Mapping[Control, pl.DataFrame],
    selected: pl.DataFrame,
    panel: pl.DataFrame,
) -> pl.DataFrame:
    """Return what each imaged unit contributes to the numbers.

    Parameters
    ----------
    summary, diagonals
        As for `loop_evidence`.
    selected
        ``unit_id``, ``hu_rank`` of the selected units.
    panel
        ``unit_id``, ``kind`` of the truth panel.
    """
    matrix = confusion_matrix(summary, selected.sort("hu_rank")["unit_id"].to_list())
    schema = {"source_unit_id": pl.Int64, "own_image_is_best": pl.Boolean}
    best = pl.DataFrame(
        {"source_unit_id": matrix.unit_ids, "own_image_is_best": own_image_is_best(matrix)}, schema=schema
    )
    units = (
        pl.concat([selected["unit_id"], panel["unit_id"]]).unique().sort().alias("source_unit_id").to_frame()
    )
    out = units.join(_renamed(selected, "hu_rank"), on="source_unit_id", how="left")
    out = out.join(_renamed(panel, "kind"), on="source_unit_id", how="left").join(
        best, on="source_unit_id", how="left"
    )
    for control, (_, column) in COMPARED.items():
        rows = diagonals.get(control)
        if rows is None:
            out = out.with_columns(pl.lit(None, dtype=pl.Boolean).alias(column))
            continue
        preferred = rows.select("source_unit_id", (pl.col("diff_resp") > 0).alias(column))
        out = out.join(preferred, on="source_unit_id", how="left")
    in_matrix = pl.col("own_image_is_best").is_not_null().alias("in_matrix")
    return out.rename({"kind": "panel_kind"}).with_columns(in_matrix).sort("source_unit_id")


def _renamed(table: pl.DataFrame, column: str) -> pl.DataFrame:
    return table.select(pl.col("unit_id").alias("source_unit_id"), column)

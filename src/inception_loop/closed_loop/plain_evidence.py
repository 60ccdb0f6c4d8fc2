"""The evidence of one animal's plain trials, by the functions of the closed-loop stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from inception_loop.artifacts.query import query, sql_file
from inception_loop.closed_loop.diagonal import diagonal_entry
from inception_loop.closed_loop.evidence import Share
from inception_loop.closed_loop.matrix import (
    ConfusionMatrix,
    confusion_matrix,
    diagonal_permutation_test,
    mean_of_others,
    own_image_is_best,
)
from inception_loop.closed_loop.plain import Floats
from inception_loop.closed_loop.statistics.per_unit import unit_tests
from inception_loop.closed_loop.statistics.rows import comparison_rows, diagonal_rows, per_unit_row
from inception_loop.closed_loop.statistics.table_of_tests import Row
from inception_loop.closed_loop.summary import summary_confusion

KEY, DIAGONAL = "own_control", "own"
OTHERS = "own image against those of the other units"

DEFINITIONS = {
    "n_units": "units that were compared",
    "own_over_control_share": "units whose mean response to their own image exceeds that to their control "
    "image",
    "own_image_is_best_share": "units whose own image gives their strictly largest mean response among the "
    "own images of all n units (by chance: 1/n)",
    "diagonal_p_value": "permutation of image labels: (b + 1)/(B + 1), b of B permutations whose mean "
    "response to the assigned image reaches that to the own image; n = units",
    "diagonal_mean": "mean over units of the response to the own image",
    "diagonal_null_mean": "mean of the same over the permutations",
}

EVIDENCE = {
    "animal": pl.String,
    "key": pl.String,
    "value": pl.Float64,
    "count": pl.Int64,
    "n": pl.Int64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "definition": pl.String,
}

ENTRY = {
    "n_own": "cnn_repeats",
    "own": "cnn_resp",
    "own_sem": "cnn_sem",
    "n_control": "rf_repeats",
    "control": "rf_resp",
    "control_sem": "rf_sem",
    "difference": "diff_resp",
    "difference_sem": "diff_sem",
    "t": "t_diff",
}
"""Column of the table of units → published name, in which ``cnn`` and ``rf`` stand for own and control."""

OF_TESTS = ("p_value", "q_value", "p_smallest", "method", "reason")
OF_MATRIX = {"others": pl.Float64, "own_image_is_best": pl.Boolean}


@dataclass(frozen=True)
class Options:
    """How it is computed and called; fields as the arguments of `compare`."""

    what: str
    scale: str
    n_permutations: int
    n_unit_permutations: int
    seed: int


@dataclass(frozen=True)
class Found:
    """What the responses of one animal show.

    Attributes
    ----------
    units : a row a unit
    evidence : rows `EVIDENCE`
    tests : rows for the table of tests
    confusion : ``animal, image_unit, unit, response``, empty without others' images
    notes : what could not be computed
    matrix : the same confusion, of two units at least
    """

    units: pl.DataFrame
    evidence: pl.DataFrame
    tests: list[Row]
    confusion: pl.DataFrame
    notes: list[str]
    matrix: ConfusionMatrix | None = None


def of_trials(
    trials: pl.DataFrame, animal: str, options: Options, given: tuple[Floats, Sequence[Any]] | None = None
) -> Found:
    """Return the evidence of one animal's trials, of units that were shown both of their images.

    Parameters
    ----------
    trials
        ``unit, scan, image, image_unit, response``, see `trials_of_table`.
    animal
        Its name.
    options
        How.
    given
        A confusion matrix and the names of its units, if it is not to be taken from the trials.
    """
    ids = _ids(trials["unit"])
    rows = (
        trials.with_row_index("place")
        .filter((pl.col("image") == "own") | (pl.col("unit") == pl.col("image_unit")))
        .join(ids.rename({"id": "unit_id"}), on="unit", maintain_order="left")
        .join(ids.select(image_unit="unit", image_unit_id="id"), on="image_unit", maintain_order="left")
    )
    moments = rows.select(
        "place",
        "image_unit_id",
        "response",
        model_type=pl.col("image").replace_strict({"own": "cnn", "control": "linear"}),
        source_unit_id="unit_id",
        scan_idx="scan",
    )
    summary = summary_confusion(query(sql_file(__package__, "trial_moments.sql"), {"trial": moments}))
    entry = diagonal_entry(summary, "linear")
    drawn: dict[str, Any] = {"n_permutations": options.n_unit_permutations, "seed": options.seed}
    own = rows.filter(pl.col("unit_id") == pl.col("image_unit_id"))
    tested = unit_tests(own.select("unit_id", "image", "response", "scan"), within=["scan"], **drawn)
    units = (
        entry.select("source_unit_id", **{name: pl.col(column) for name, column in ENTRY.items()})
        .join(tested.select("unit_id", *OF_TESTS), left_on="source_unit_id", right_on="unit_id", how="left")
        .join(ids.select("unit", source_unit_id="id"), on="source_unit_id")
        .sort("source_unit_id")
    )
    over: dict[str, Any] = {"n_permutations": options.n_permutations, "seed": options.seed}
    what = options.what
    tests = comparison_rows(
        KEY, what, entry["cnn_resp"].to_numpy(), entry["rf_resp"].to_numpy(), scale=options.scale, **over
    )
    tests.append(per_unit_row(KEY, what, tested))
    share = Share(units.filter(pl.col("difference") > 0).height, units.height)
    evidence = [_number("n_units", units.height, units.height), _share("own_over_control_share", share)]
    notes = [*_unequal(own), *_reasons(tested)]
    if given is None and not rows.filter(pl.col("unit_id") != pl.col("image_unit_id")).height:
        return _found(animal, units, evidence, tests, None, notes)
    matrix = confusion_matrix(summary, ids["id"].to_list()) if given is None else _given(given, ids)
    left_out = units.height - len(matrix.unit_ids)
    if left_out:
        notes.append(
            f"{left_out} of {units.height} units lack responses to others' images: not in the matrix"
        )
    more, numbers = _matrix_rows(matrix, options)
    return _found(animal, units, evidence + numbers, tests + more, matrix, notes)


def of_matrix(matrix: ConfusionMatrix, names: Sequence[Any], options: Options) -> Found:
    """Return the evidence of a confusion matrix alone; ``names`` are those of its units."""
    tests, numbers = _matrix_rows(matrix, options)
    evidence = [_number("n_units", len(names), len(names)), *numbers]
    units = pl.DataFrame({"unit": list(names), "own": np.diag(matrix.responses)}, strict=False)
    return _found("", units.with_columns(source_unit_id=matrix.unit_ids), evidence, tests, matrix, [])


def _ids(units: pl.Series) -> pl.DataFrame:
    """Return ``unit`` and a whole number for each, its own where it is one, in the order of the units."""
    names = units.unique().sort()
    ids = names.cast(pl.Int64) if names.dtype.is_integer() else pl.int_range(len(names), eager=True)
    return pl.DataFrame({"unit": names, "id": ids})


def _given(given: tuple[Floats, Sequence[Any]], ids: pl.DataFrame) -> ConfusionMatrix:
    """Return the part of a given matrix that speaks of these units, in its own order."""
    values, names = given
    known = dict(ids.select("unit", "id").rows())
    places = [place for place, name in enumerate(names) if name in known]
    return ConfusionMatrix(
        np.array([known[names[place]] for place in places]), values[np.ix_(places, places)]
    )


def _matrix_rows(matrix: ConfusionMatrix, options: Options) -> tuple[list[Row], list[Row]]:
    over: dict[str, Any] = {"n_permutations": options.n_permutations, "seed": options.seed}
    tests = diagonal_rows(DIAGONAL, OTHERS, matrix, scale=options.scale, **over)
    n = len(matrix.unit_ids)
    if n < 2:  # among one image it is the best whatever the response
        return tests, []
    best = _share("own_image_is_best_share", Share(int(own_image_is_best(matrix).sum()), n))
    test = diagonal_permutation_test(matrix, **over)
    values = {
        "diagonal_p_value": test.p_value,
        "diagonal_mean": test.statistic,
        "diagonal_null_mean": test.null_mean,
    }
    return tests, [best, *(_number(key, value, n) for key, value in values.items())]


def _found(
    animal: str,
    units: pl.DataFrame,
    evidence: list[Row],
    tests: list[Row],
    matrix: ConfusionMatrix | None,
    notes: list[str],
) -> Found:
    of = pl.lit(animal).alias("animal")
    unit_type = units.schema["unit"]
    cells: dict[str, Any] = {
        "animal": pl.String,
        "image_unit": unit_type,
        "unit": unit_type,
        "response": pl.Float64,
    }
    confusion = pl.DataFrame(schema=cells)
    seen = pl.DataFrame(schema={"source_unit_id": pl.Int64, **OF_MATRIX})
    if matrix is not None:
        place = units.select("source_unit_id", "unit")
        known = pl.DataFrame({"source_unit_id": matrix.unit_ids}).join(place, on="source_unit_id", how="left")
        labels, n = known["unit"], len(matrix.unit_ids)
        if n > 1:
            best = {"others": mean_of_others(matrix), "own_image_is_best": own_image_is_best(matrix)}
            seen = pl.DataFrame({"source_unit_id": matrix.unit_ids, **best})
        confusion = pl.DataFrame(
            {
                "animal": [animal] * n**2,
                "image_unit": labels.gather(np.repeat(np.arange(n), n)),
                "unit": labels.gather(np.tile(np.arange(n), n)),
                "response": matrix.responses.ravel(),
            }
        )
    table = units.join(seen, on="source_unit_id", how="left", maintain_order="left").drop("source_unit_id")
    rows = pl.DataFrame([{"animal": animal, **row} for row in evidence], schema=EVIDENCE)
    several = matrix if matrix is not None and len(matrix.unit_ids) > 1 else None
    return Found(table.select(of, "unit", pl.exclude("unit")), rows, tests, confusion, notes, several)


def _number(key: str, value: float, n: int) -> Row:
    return {"key": key, "value": float(value), "n": n, "definition": DEFINITIONS[key]}


def _share(key: str, share: Share) -> Row:
    ends = {"count": share.count, "lower": share.lower, "upper": share.upper}
    return {"key": key, "value": share.value, "n": share.n, "definition": DEFINITIONS[key], **ends}


def _unequal(own: pl.DataFrame) -> list[str]:
    """Say where own and control trials lie unequally in the scans, so that an offset of a scan counts."""
    images = ("own", "control")
    shares = (
        own.group_by("unit_id", "scan")
        .agg([(pl.col("image") == image).sum().alias(image) for image in images])
        .with_columns([pl.col(image) / pl.col(image).sum().over("unit_id") for image in images])
    )
    apart = shares.group_by("unit_id").agg(share=(pl.col("own") - pl.col("control")).abs().sum() / 2)
    unequal = apart.filter(pl.col("share") >= 0.01)
    if not unequal.height:
        return []
    most = unequal.select(pl.col("share").max()).item()
    return [
        f"{unequal.height} of {apart.height} units have own and control trials in unequal parts of their "
        f"scans: up to {100 * most:.0f} % of an offset between scans counts as difference; z-score each "
        "scan first"
    ]


def _reasons(tested: pl.DataFrame) -> list[str]:
    counts = tested.drop_nulls("reason").group_by("reason", maintain_order=True).agg(pl.len().alias("n"))
    return [
        f"{n} of {tested.height} units could not be tested by themselves: {reason}"
        for reason, n in counts.iter_rows()
    ]

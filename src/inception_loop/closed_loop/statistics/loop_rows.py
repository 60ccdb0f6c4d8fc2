"""Rows of a table over loops: one of each loop, and those of all loops together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from inception_loop.closed_loop.matrix import ConfusionMatrix, pooled_diagonal_test
from inception_loop.closed_loop.statistics.bootstrap import Interval, interval
from inception_loop.closed_loop.statistics.numerals import said
from inception_loop.closed_loop.statistics.paired import PairedTest, sign_flip_test
from inception_loop.closed_loop.statistics.pooled import Noun, about, pooled_interval
from inception_loop.closed_loop.statistics.rows import animal_rows
from inception_loop.closed_loop.statistics.table_of_tests import ASSUMPTIONS, Row
from inception_loop.closed_loop.statistics.values import Floats, finite_vector
from inception_loop.errors import DataError

NO_FLIPS = (
    "no sign flips: one image and the mean of several are not exchangeable, even without an effect; the "
    "permutation of the diagonal tests these"
)


def loop_row(what: str, part: pl.DataFrame, loop: str, animal: str, **options: Any) -> Row:
    """Return the row of one loop: mean, interval and sign flips over its units."""
    of = f"{what}, {options['noun']} {loop}" + (f" (animal {animal})" if options["noun"] == "loop" else "")
    row = _units_row(of, part, lambda values: interval(values, seed=options["seed"]), **options)
    kinds = ("interval", "sign_flip") if options["flipped"] else ("own_over_others",)
    row["assumptions"] = "; ".join(ASSUMPTIONS[kind] for kind in kinds)
    return row | {"key": f"loop_{loop}", "loop": loop, "animal": animal, "what": what}


def pooled_rows(
    what: str,
    part: pl.DataFrame,
    loops: Sequence[tuple[str, str]],
    shared: Sequence[str],
    matrices: Sequence[ConfusionMatrix],
    **options: Any,
) -> list[Row]:
    """Return the rows of all loops together: their units, their diagonals, their animals."""
    noun: Noun = options["noun"]
    values = (part["own"] - part["control"]).to_numpy()

    def within(differences: Floats) -> Interval:
        return pooled_interval(differences, part["loop"].to_numpy(), seed=options["seed"], noun=noun)

    n = part["loop"].n_unique()
    of = f"{what}, {n} {noun}s together" if n > 1 else f"{what}, {n} {noun}"
    pooled = _units_row(of, part, within, **options)
    kind_of = "pooled_units" if options["flipped"] else "pooled_over_others"
    pooled |= {"key": "pooled_units", "what": what, "assumptions": ASSUMPTIONS[kind_of]}
    drawn = {name: options[name] for name in ("scale", "n_permutations", "seed")}
    rows = animal_rows("x", what, values, part["animal"].to_numpy(), **drawn)
    rows = [row | {"key": str(row["key"]).removeprefix("x_")} for row in rows]
    notes = [*_lacking(part, loops, noun), *_several_loops(part), *shared]
    permuted = [_permuted_row(what, of, matrices, **options)] if matrices else []
    rows = [row | {"words": "; ".join([str(row["words"]), *notes])} for row in (pooled, *permuted, *rows)]
    if "value" in pooled:
        rows[0]["words"] = f"{rows[0]['words']}: {about(noun)}"
    return rows


def _permuted_row(what: str, of: str, matrices: Sequence[ConfusionMatrix], **options: Any) -> Row:
    """Return the test of the diagonals of all loops: images permuted within their loop."""
    n_permutations, noun, scale = options["n_permutations"], options["noun"], options["scale"]
    row: Row = {"key": "pooled_diagonal", "what": what, "n_of": "units"}
    row |= {
        "statistic": "own minus shuffled image, permutation",
        "assumptions": ASSUMPTIONS["pooled_diagonal"],
    }
    try:
        test = pooled_diagonal_test(matrices, n_permutations=n_permutations, seed=options["seed"])
    except DataError as error:
        return row | {"words": f"{of}: not done: {error}"}
    method = f"{n_permutations:,} permutations of images within {noun}s, one-sided"
    words = (
        f"{of}: mean {said(test.statistic)} {scale} against {said(test.null_mean)} with images shuffled "
        f"within {noun}s over {test.n_units} units, p = {said(test.p_value)} ({method})"
    )
    value = test.statistic - test.null_mean
    return row | {
        "value": value,
        "p_value": test.p_value,
        "n": test.n_units,
        "method": method,
        "words": words,
    }


def noted(row: Row, note: str | None) -> Row:
    """Return a row with a note after its words, if there is one."""
    return row | {"words": f"{row['words']}; {note}"} if note else row


def _lacking(part: pl.DataFrame, loops: Sequence[tuple[str, str]], noun: Noun) -> list[str]:
    there = set(part["loop"])
    without = [loop for loop, _ in loops if loop not in there]
    return [f"without {noun} {', '.join(without)}, which does not compare these"] if without else []


def _several_loops(part: pl.DataFrame) -> list[str]:
    counts = part.group_by("animal").agg(pl.col("loop").n_unique().alias("n")).filter(pl.col("n") > 1)
    return [
        f"{n} loops of animal {animal} count as one animal" for animal, n in counts.sort("animal").iter_rows()
    ]


def _units_row(
    of: str,
    part: pl.DataFrame,
    ends: Any,
    *,
    scale: str,
    n_permutations: int,
    seed: int,
    flipped: bool,
    noun: Noun,
) -> Row:
    """Return one row over units: mean, interval and sign flips, each as far as the units allow it."""
    row: Row = {"statistic": "mean difference", "n_of": "units", "n": part.height}
    if not part.height:
        which = "both images" if flipped else "the images of the others"
        return row | {"words": f"{of}: not done: no unit was shown {which}"}
    values = finite_vector(part["own"] - part["control"], "differences")
    above = int((values > 0).sum())
    row |= {"value": float(values.mean()), "n_above": above}
    words, methods, why = f"{of}: mean difference {said(values.mean())} {scale}", [], []
    try:
        found: Interval = ends(values)
        row |= {"lower": found.lower, "upper": found.upper}
        words += f" (95 % interval {said(found.lower)} to {said(found.upper)})"
        methods.append(found.method)
    except DataError as error:
        why.append(f"no interval: {error}")
    words += f" over {values.size} units, {above} of them above 0"
    if not flipped:
        return row | {"method": "; ".join(methods) or None, "words": "; ".join([words, *why, NO_FLIPS])}
    try:
        test = sign_flip_test(values, n_permutations=n_permutations, seed=seed)
        row["p_value"] = test.p_value
        methods.append(_flips(test))
        words += f", p = {said(test.p_value)} ({_flips(test)})"
    except DataError as error:
        why.append(f"no test: {error}")
    method = "; ".join(methods) or None
    return row | {"method": method, "words": "; ".join([words, *why])}


def _flips(test: PairedTest) -> str:
    return (
        f"{'all ' if test.exact else ''}{test.n_permutations:,}{'' if test.exact else ' random'} sign flips"
    )

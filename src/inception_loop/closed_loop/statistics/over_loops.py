"""Several loops in one table: every loop by itself, their units together, and the animals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.closed_loop.matrix import ConfusionMatrix, pooled_diagonal_test
from inception_loop.closed_loop.statistics.bootstrap import LEAST, Interval, interval
from inception_loop.closed_loop.statistics.numerals import said
from inception_loop.closed_loop.statistics.paired import PairedTest, sign_flip_test
from inception_loop.closed_loop.statistics.per_unit import benjamini_hochberg
from inception_loop.closed_loop.statistics.rows import animal_rows
from inception_loop.closed_loop.statistics.table_of_tests import ASSUMPTIONS, SCHEMA, Row
from inception_loop.closed_loop.statistics.values import Floats, finite_vector, varying_vector
from inception_loop.errors import DataError

ACROSS = {"comparison": pl.String, "loop": pl.String, "animal": pl.String, "n_above": pl.Int64, **SCHEMA}
"""Columns of the table across loops."""

UNITS = {
    "comparison": pl.String,
    "what": pl.String,
    "loop": pl.String,
    "animal": pl.String,
    "unit": pl.String,
    "own": pl.Float64,
    "control": pl.Float64,
}
"""Columns of the units that it is made from."""

Noun = Literal["loop", "animal"]
"""What one part of the analysis is called: a loop, or the animal where each has one."""


def about(noun: Noun = "loop") -> str:
    """Say what the interval over the units of several loops (animals) speaks of.

    Examples
    --------
    >>> about("animal").rpartition(", ")[2]
    'and noise that units of an animal share (the same trials) is not in it'
    """
    article = "an" if noun == "animal" else "a"
    return (
        "the mean over units like these of these very animals, each unit with the same weight; neither "
        f"interval nor p says anything of other animals, and noise that units of {article} {noun} share (the "
        "same trials) is not in it"
    )


OTHERS = "_others"
"""End of a comparison with the mean response to the other units' images."""

NO_FLIPS = (
    "no sign flips: one image and the mean of several are not exchangeable, even without an effect; the "
    "permutation of the diagonal tests these"
)
BLOCK = 1_000_000
"""Resampled values held at once."""


def across_loops(
    units: pl.DataFrame,
    *,
    loops: Sequence[tuple[str, str]] | None = None,
    scale: str = "z",
    n_permutations: int = 99_999,
    seed: int = 0,
    shared: Mapping[tuple[str, str], str] | None = None,
    matrices: Mapping[str, Sequence[ConfusionMatrix]] | None = None,
    noun: Noun = "loop",
) -> pl.DataFrame:
    """Return own against control, loop by loop and over all loops.

    Parameters
    ----------
    units
        ``comparison`` (its key), ``what`` (the same in words), ``loop``, ``animal``, ``unit`` (its name,
        unique within the animal), ``own``, ``control`` (mean responses); a row a unit.
    loops
        Name and animal of every loop, in the order wanted, also of loops without a unit; by default those of
        the units.
    scale
        Unit of the responses, for the words.
    n_permutations, seed
        Of the sign flips; the seed also of the bootstrap.
    shared
        Comparison and loop → how many of its units share trials, for the words.
    matrices
        Comparison with others' images → confusion matrix of every loop that has one: images are permuted
        within loops.
    noun
        What a loop is called in the words.

    Returns
    -------
    Table ``comparison, loop, animal, n_above`` (units with own above control) and the columns of
    `table_of_tests`. For every comparison a row a loop (``lower, upper`` of the bootstrap over its units, p
    of the sign flips, none against others' images; q over all loops and comparisons), then, without loop
    and animal, ``…_pooled_units``, with ``matrices`` ``…_pooled_diagonal`` (value: own minus a shuffled
    image, one-sided p), and the rows of `animal_rows`, which refuse fewer than 5 animals in their
    words. An animal's units count as one animal however many loops they are in.

    Raises
    ------
    DataError
        If a column lacks, a response is not finite, or a unit is in a comparison twice.

    Examples
    --------
    >>> rows = [("cnn_linear", "MEI against RF image", loop, f"animal {loop}", str(unit), 1.0 + unit / 8, 1.0)
    ...         for loop in "ab" for unit in range(8)]
    >>> table = across_loops(pl.DataFrame(rows, schema=UNITS, orient="row"))
    >>> table.select("loop", "n", "value", "p_value").rows()[:2]
    [('a', 8, 0.4375, 0.015625), ('b', 8, 0.4375, 0.015625)]
    >>> table["words"][4]
    'MEI against RF image: not done: there are 2 animals; expected at least 5: fewer do not show how animals \
differ, so no statement over animals is made; give the interval of each animal over its units'
    """
    table = _checked(units)
    names = (
        table.select("loop", "animal").unique(maintain_order=True).rows() if loops is None else list(loops)
    )
    drawn: dict[str, Any] = {"scale": scale, "n_permutations": n_permutations, "seed": seed, "noun": noun}
    rows: list[Row] = []
    kinds: list[str] = []
    for (comparison, what), part in table.group_by("comparison", "what", maintain_order=True):
        options = drawn | {"flipped": not str(comparison).endswith(OTHERS)}
        found = [
            _loop_row(str(what), part.filter(loop=loop), loop, animal, **options) for loop, animal in names
        ]
        of_loops = [(loop, (shared or {}).get((str(comparison), loop))) for loop, _ in names]
        notes = {loop: note for loop, note in of_loops if note}
        found = [_noted(row, notes.get(str(row["loop"]))) for row in found]
        shares = [f"in {noun} {loop} {note}" for loop, note in notes.items()]
        of = (matrices or {}).get(str(comparison), ())
        found += _pooled_rows(str(what), part, names, shares, of, **options)
        kinds += ["loop" if "loop" in row else str(row["key"]) for row in found]
        rows += [row | {"key": f"{comparison}_{row['key']}", "comparison": comparison} for row in found]
    out = pl.DataFrame(rows, schema=ACROSS)
    q_values = pl.Series("q_value", [None] * out.height, dtype=pl.Float64)
    for kind in sorted(set(kinds)):
        places = [place for place, one in enumerate(kinds) if one == kind]
        q_values[places] = benjamini_hochberg(out["p_value"][places])
    return out.with_columns(q_values)


def pooled_interval(
    differences: npt.ArrayLike,
    loops: npt.ArrayLike,
    *,
    level: float = 0.95,
    n_resamples: int = 9_999,
    seed: int = 0,
    noun: Noun = "loop",
) -> Interval:
    """Return the mean difference over the units of several loops, units resampled within their loop.

    The bootstrap-t of `interval`, with the standard error of a stratified mean: √(Σ nₗ sₗ²)/N. The loops (the
    animals) are taken as they are: whether other animals would do the same is not asked.

    Parameters
    ----------
    differences
        (n,) own − control, one a unit.
    loops
        (n,) the loop of each.
    level, n_resamples, seed
        Of the interval, of the bootstrap.
    noun
        What a loop is called in the words.

    Raises
    ------
    DataError
        If a difference is not finite, they do not vary, or a loop has fewer than 5 units.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> loops = np.repeat([1, 2, 3], 20)
    >>> found = pooled_interval(loops + rng.normal(0, 0.3, 60), loops)
    >>> found.lower < 2 < found.upper, found.upper - found.lower < 0.2, found.n
    (True, True, 60)
    """
    values = varying_vector(differences, "differences")
    names, place, sizes = np.unique(np.asarray(loops), return_inverse=True, return_counts=True)
    few = np.flatnonzero(sizes < LEAST)
    if few.size:
        raise DataError(
            f"{noun} {names[few[0]]} has {sizes[few[0]]} units; expected at least {LEAST} in each {noun} for "
            "an interval over units: fewer do not show how units differ"
        )
    parts = [values[place == number] for number in range(names.size)]
    mean, error = _stratified([part[None, :] for part in parts], values.size)
    tail = int((n_resamples + 1) * (1.0 - level) / 2.0 + 1e-9)
    if not 0 < level < 1 or tail < 1:
        raise DataError(
            f"an interval of level {level} cannot be had from {n_resamples} resamples; ask for more"
        )
    studentised = np.sort(_resampled(parts, float(mean[0]), n_resamples, seed))
    low, high = float(studentised[tail - 1]), float(studentised[-tail])
    return Interval(
        value=float(values.mean()),
        lower=float(values.mean()) - high * float(error[0]),
        upper=float(values.mean()) - low * float(error[0]),
        level=level,
        n=values.size,
        over="units",
        method=f"bootstrap-t, {n_resamples:,} resamples of units within {noun}s",
        about=about(noun),
    )


def _stratified(parts: Sequence[Floats], n: int) -> tuple[Floats, Floats]:
    """Return mean and standard error over strata, of (resamples, units) arrays."""
    mean = sum(part.sum(axis=1) for part in parts) / n
    squares = sum(part.shape[1] * part.var(axis=1, ddof=1) for part in parts)
    return np.asarray(mean), np.sqrt(np.asarray(squares)) / n


def _resampled(parts: Sequence[Floats], mean: float, n_resamples: int, seed: int) -> Floats:
    generator, n = np.random.default_rng(seed), sum(part.size for part in parts)
    found, left = [], n_resamples
    while left:
        block = min(left, max(1, BLOCK // n))
        drawn = [part[generator.integers(0, part.size, (block, part.size))] for part in parts]
        means, errors = _stratified(drawn, n)
        flat = errors <= 1e-12 * max(float(np.abs(part).max()) for part in parts)
        shift = means - mean
        found.append(np.where(flat, np.copysign(np.inf, shift), shift / np.where(flat, 1.0, errors)))
        left -= block
    return np.concatenate(found)


def _checked(units: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in UNITS if name not in units.columns]
    if missing:
        raise DataError(f"the table of units lacks {', '.join(missing)}; it has {', '.join(units.columns)}")
    twice = units.filter(pl.struct("comparison", "animal", "unit").is_duplicated())
    if twice.height:
        first = twice.row(0, named=True)
        loops = twice.filter(unit=first["unit"], animal=first["animal"])["loop"].unique().sort().to_list()
        n = twice.select("animal", "unit").n_unique()
        raise DataError(
            f"{n} units are in a comparison twice, first unit {first['unit']} of animal {first['animal']} "
            f"in loops {' and '.join(loops)}: the same cell would count as two; expected each unit once; "
            "pool the later days of one source scan in one loop, or leave one of these loops out"
        )
    return units


def _loop_row(what: str, part: pl.DataFrame, loop: str, animal: str, **options: Any) -> Row:
    of = f"{what}, {options['noun']} {loop}" + (f" (animal {animal})" if options["noun"] == "loop" else "")
    row = _units_row(of, part, lambda values: interval(values, seed=options["seed"]), **options)
    kinds = ("interval", "sign_flip") if options["flipped"] else ("own_over_others",)
    row["assumptions"] = "; ".join(ASSUMPTIONS[kind] for kind in kinds)
    return row | {"key": f"loop_{loop}", "loop": loop, "animal": animal, "what": what}


def _pooled_rows(
    what: str,
    part: pl.DataFrame,
    loops: Sequence[tuple[str, str]],
    shared: Sequence[str],
    matrices: Sequence[ConfusionMatrix],
    **options: Any,
) -> list[Row]:
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


def _noted(row: Row, note: str | None) -> Row:
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

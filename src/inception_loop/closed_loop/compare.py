"""``il.compare``: the evidence of a loop from plain responses: no store, no Prefect, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import polars as pl

from inception_loop.closed_loop.comparison import Comparison
from inception_loop.closed_loop.matrix import ConfusionMatrix
from inception_loop.closed_loop.plain import (
    FORMS,
    Floats,
    Incomplete,
    both_images,
    trials_of_table,
    unit_names,
)
from inception_loop.closed_loop.plain_arrays import array_names, trials_of_arrays
from inception_loop.closed_loop.plain_evidence import KEY, OTHERS, Found, Options, of_matrix, of_trials
from inception_loop.closed_loop.plain_matrix import matrix_of
from inception_loop.closed_loop.statistics.over_loops import UNITS, across_loops
from inception_loop.closed_loop.statistics.table_of_tests import SCHEMA, table_of_tests
from inception_loop.errors import ConfigurationError, DataError


def compare(
    trials: Any = None,
    *,
    own: Any = None,
    control: Any = None,
    confusion: Any = None,
    units: Sequence[Any] | None = None,
    animals: Sequence[Any] | None = None,
    unit: str | None = None,
    image: str | None = None,
    response: str | None = None,
    image_unit: str | None = None,
    animal: str | None = None,
    scan: str | Sequence[str] | None = None,
    labels: tuple[str, str] = ("own", "control"),
    what: str = "own image against control image",
    scale: str = "a.u.",
    incomplete: Incomplete = "refuse",
    n_permutations: int = 99_999,
    n_unit_permutations: int = 9_999,
    seed: int = 0,
) -> Comparison:
    """Test whether cells prefer the image that was made for them, from responses alone.

    The same functions, and so the same numbers, as in the closed-loop stage: means pooled over scans, paired
    tests over units, each unit by itself, the diagonal of the confusion matrix; over animals from 5 on. The
    responses are taken as they are. Cells differ in scale: give z-scores over the whole scan, as the stage
    does, unless the unit of the traces is what you want to average. Units are taken to be independent: where
    several saw the same trials of one control image, they share its noise, and no test here allows for that.

    Parameters
    ----------
    trials
        Data frame (Polars, pandas, Arrow, mapping of columns), a row a trial.
    own, control
        Instead: (n units, repeats) each, NaN where a repeat is missing; or n vectors of any lengths; or (n,)
        means, of which no unit can be tested by itself.
    confusion
        Instead or beside the arrays: (n images, n units) mean responses or (n, n, repeats) trials, image *i*
        made for unit *i*; or a data frame of means with a column a unit.
    units, animals
        (n,) names of the units and their animals, for the arrays. By default the index of a pandas frame
        names its rows, and rows of own and control are paired by name.
    unit, image, response
        Columns of the table of trials; by default of these names.
    image_unit
        Its column that says for which unit the image was made: rows of other units' images fill the confusion
        matrix. By default ``image_unit``, if there is one; null means the unit itself.
    animal, scan
        Its columns of the animal, and of the scan (one or several: labels are exchanged within a scan only).
        By default ``animal`` and ``scan``, if there are.
    labels
        What the column ``image`` calls own and control image.
    what, scale
        What is compared and the unit of the responses, for the words.
    incomplete
        Units that were shown one of their two images only, and trials of a table without a response (null,
        NaN): ``"refuse"`` them, or ``"leave_out"`` and say so in the notes.
    n_permutations, n_unit_permutations, seed
        Of the tests over units, of each unit's trials, and of both; the seed also of the bootstrap.

    Raises
    ------
    ConfigurationError
        If it is not clear what is meant: no form or two forms of data, a column that is not there, an
        argument that is none.
    DataError
        If the responses do not fit together; one line says which, and what to do.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> found = compare(own=rng.normal(0.8, 1, (12, 10)), control=rng.normal(0, 1, (12, 10)), scale="z")
    >>> print(found)  # doctest: +ELLIPSIS
    own image against control image: 12 units
    <BLANKLINE>
    • mean difference ... z (95 % interval ... to ...) over 12 units
    • mean difference ... z over 12 units, p = ... (all 4,096 sign flips)
    • rank sum ... over 12 units, p = ... (exact distribution of the rank sum)
    • ... of 12 units respond more to their own image
    • ... of 12 units respond more to their own image and 0 less (q ≤ 0.05)
      An interval over units of one animal speaks of the mean over units like these of this animal in
      these recordings; it says nothing of other animals, and noise that units share (the same trials)
      is not in it.
    >>> found.to_frame("units").columns[:4]
    ['animal', 'unit', 'n_own', 'own']
    """
    if incomplete not in get_args(Incomplete):
        raise ConfigurationError(f"incomplete is {incomplete!r}; expected 'refuse' or 'leave_out'")
    counts = {"n_permutations": n_permutations, "n_unit_permutations": n_unit_permutations, "seed": seed}
    for name, value in counts.items():
        least = 0 if name == "seed" else 1
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ConfigurationError(f"{name} is {value!r}; expected a whole number of at least {least}")
    if isinstance(labels, str) or len(labels) != 2 or labels[0] == labels[1]:
        raise ConfigurationError(
            f"labels is {labels!r}; expected what the column image calls own and control image, as "
            "('own', 'control')"
        )
    options = Options(what, scale, n_permutations, n_unit_permutations, seed)
    columns = {
        "unit": unit,
        "image": image,
        "response": response,
        "image_unit": image_unit,
        "animal": animal,
        "scan": scan,
    }
    arrays = {"own": own, "control": control, "confusion": confusion, "units": units, "animals": animals}
    _one_form(trials, arrays, columns)
    if trials is not None:
        table, notes = trials_of_table(trials, columns, labels, incomplete)
        return _of_animals(table, None, incomplete, options, notes)
    matrix = None if confusion is None else matrix_of(confusion, units)
    if own is None:
        values, names = matrix or ((), ())
        of = of_matrix(ConfusionMatrix(np.arange(len(names)), np.asarray(values)), names, options)
        return _comparison(OTHERS, of, table_of_tests(of.tests), [])
    if matrix is not None and (len(own) != len(matrix[1]) or animals is not None):
        of_one = " of one animal" if animals is not None else ""
        raise DataError(
            f"the arrays hold {len(own)} units, the confusion matrix {len(matrix[1])}{of_one}; expected the "
            "same units of one animal, in the same order"
        )
    given = array_names(own, control) if units is None else units
    if matrix is not None:
        values, names = matrix
        numbered = [str(name) for name in names] == [str(place) for place in range(len(names))]
        given = unit_names(given, len(names)) if given is not None and numbered else names
        matrix = values, list(given)
    table = trials_of_arrays(own, control, given, animals)
    return _of_animals(table, matrix, incomplete, options)


def _one_form(trials: Any, arrays: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
    """Refuse arguments that give no form of data, or two."""
    given = [name for name, value in arrays.items() if value is not None]
    named = [name for name, value in columns.items() if value is not None]
    if trials is not None:
        if given:
            raise ConfigurationError(f"a table of trials is given and {', '.join(given)} too; {FORMS}")
        return
    if named:
        raise ConfigurationError(f"{', '.join(named)} name columns, but no table of trials is given; {FORMS}")
    one = [name for name in ("own", "control") if name in given]
    if len(one) == 1:
        other = {"own": "control", "control": "own"}[one[0]]
        raise ConfigurationError(f"{one[0]} is given without {other}; {FORMS}")
    if not one and "confusion" not in given:
        raise ConfigurationError(f"no responses are given; {FORMS}")
    if not one and "animals" in given:
        raise ConfigurationError("animals are given for a confusion matrix; expected one animal's matrix")


def _of_animals(
    trials: pl.DataFrame,
    matrix: tuple[Floats, list[Any]] | None,
    incomplete: Incomplete,
    options: Options,
    said: Sequence[str] = (),
) -> Comparison:
    kept, left_out = both_images(trials, incomplete)
    notes = [*said, *left_out]
    animals = kept["animal"].unique(maintain_order=True).to_list()
    found = [of_trials(kept.filter(animal=animal), animal, options, matrix) for animal in animals]
    if len(found) == 1:
        return _comparison(options.what, found[0], table_of_tests(found[0].tests), notes)
    tables = ("units", "evidence", "confusion")
    parts = {name: pl.concat([getattr(one, name) for one in found]) for name in tables}
    of_each = [
        f"animal {animal}: {note}" for animal, one in zip(animals, found, strict=True) for note in one.notes
    ]
    together = Found(**parts, tests=[], notes=of_each)
    return _comparison(options.what, together, _across(found, animals, together.units, options), notes)


def _across(
    found: Sequence[Found], animals: Sequence[str], units: pl.DataFrame, options: Options
) -> pl.DataFrame:
    """Return the tests of several animals: each by itself, their units together, the animals."""
    name = {"loop": pl.col("animal"), "unit": pl.col("unit").cast(pl.String)}
    compared = [units.with_columns(comparison=pl.lit(KEY), what=pl.lit(options.what), **name)]
    others = units.drop_nulls("others").with_columns(control=pl.col("others"))
    compared.append(others.with_columns(comparison=pl.lit("own_others"), what=pl.lit(OTHERS), **name))
    over: dict[str, Any] = {"scale": options.scale, "n_permutations": options.n_permutations}
    matrices = {"own_others": [one.matrix for one in found if one.matrix is not None]}
    of_units = pl.concat(compared).select(list(UNITS))
    table = across_loops(of_units, seed=options.seed, matrices=matrices, noun="animal", **over)
    rows = [
        row | {"key": f"{animal}_{row['key']}", "loop": animal, "words": f"animal {animal}: {row['words']}"}
        for animal, one in zip(animals, found, strict=True)
        for row in one.tests
        if str(row["key"]).endswith(("_per_unit", "_diagonal"))
    ]
    alone = table_of_tests({name: row.get(name) for name in SCHEMA} for row in rows)
    of = pl.Series([row["loop"] for row in rows], dtype=pl.String)
    return pl.concat([table, alone.with_columns(loop=of, animal=of)], how="diagonal")


def _comparison(what: str, found: Found, tests: pl.DataFrame, notes: Sequence[str]) -> Comparison:
    return Comparison(what, found.evidence, found.units, tests, found.confusion, (*notes, *found.notes))

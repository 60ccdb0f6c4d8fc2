"""Responses as a lab has them in arrays, units × repeats, as the same table of trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import polars as pl

from inception_loop.closed_loop.plain import Floats, checked, refuse_twice, unit_names
from inception_loop.errors import DataError

Row = TypeVar("Row")
BY_PLACE = "take their index away (.to_numpy()) if they stand in the same order"


def trials_of_arrays(
    own: Any, control: Any, units: Sequence[Any] | None, animals: Sequence[Any] | None
) -> pl.DataFrame:
    """Return arrays of responses, units × repeats, as the same table; NaN is a repeat that is missing.

    Parameters
    ----------
    own, control
        (n, repeats) each, or n vectors of any lengths, or (n,) means.
    units
        (n,) names of the units; by default those of the data frames' rows, else 0, 1, 2, … The rows of a
        frame whose index names units are put in this order.
    animals
        (n,) the animal of each; by default one animal.

    Raises
    ------
    DataError
        If the numbers or the names of units differ, or a response is infinite.

    Examples
    --------
    >>> trials_of_arrays([[1.0, np.nan]], [[0.5, 0.25]], ["a"], None)["response"].to_list()
    [1.0, 0.5, 0.25]
    """
    both = {"own": _vectors(own, "own"), "control": _vectors(control, "control")}
    n = len(both["own"])
    names = unit_names(array_names(own, control) if units is None else units, n)
    where: list[str | None] = [_animal(animal) for animal in ([""] * n if animals is None else animals)]
    mine, theirs = row_names(own), row_names(control)  # rows without names stand as those of the other
    both["own"] = _in_order(both["own"], mine or theirs, names, "own")
    both["control"] = _in_order(both["control"], theirs or mine, names, "control")
    if {str(name) for name in row_names(animals) or ()} == {str(name) for name in names}:
        where = _in_order(where, row_names(animals), names, "animals")
    sizes = {"own": n, "control": len(both["control"]), "units": len(names), "animals": len(where)}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(f"the numbers of units differ: {said}; expected the same units in the same order")
    cells = list(zip(where, names, strict=True))
    refuse_twice([f"{name} of animal {animal}" if animal else str(name) for animal, name in cells])
    parts = [
        {
            "animal": animal,
            "unit": name,
            "scan": 0,
            "image": image,
            "image_unit": name,
            "response": float(one),
        }
        for image, vectors in both.items()
        for animal, name, vector in zip(where, names, vectors, strict=True)
        for one in vector[~np.isnan(vector)]
    ]
    if not parts:
        raise DataError("there is no response; expected at least one trial of each image and unit")
    return checked(pl.DataFrame(parts, infer_schema_length=None))


def _animal(given: Any) -> str | None:
    missing = not isinstance(given, str) and str(given) in ("None", "nan", "<NA>", "NaT")
    return None if missing else str(given)


def row_names(given: Any) -> list[Any] | None:
    """Return what the index of a pandas frame or series calls its rows; None if it only counts them."""
    index = getattr(given, "index", None)
    if index is None or not hasattr(index, "tolist"):
        return None
    names: list[Any] = index.tolist()
    return None if names == list(range(len(names))) else names


def array_names(own: Any, control: Any) -> list[Any] | None:
    """Return the names of the units by the index of either frame; None if neither names them.

    Raises
    ------
    DataError
        If one has rows 0, 1, 2, … and the other the same in another order: either may be meant.
    """
    mine, theirs = row_names(own), row_names(control)
    if mine is None or theirs is None:
        one, other = ("control", own) if mine is None else ("own", control)
        names = theirs if mine is None else mine
        if names is not None and hasattr(other, "index") and set(names) == set(range(len(names))):
            raise DataError(
                f"the rows of {one} are called {_some(names)}, those of the other 0, 1, 2, …; expected the "
                f"same order; sort them by their index (.sort_index()), or {BY_PLACE}"
            )
        return names
    return mine


def _in_order(rows: list[Row], given: list[Any] | None, names: list[Any], what: str) -> list[Row]:
    """Return the rows in the order of the names of units, by what an index calls them."""
    found, wanted = [str(name) for name in given or names], [str(name) for name in names]
    if found == wanted:
        return rows
    strange = [name for name in found if name not in set(wanted)]
    strange += [name for name in wanted if name not in set(found)]
    if strange:
        raise DataError(
            f"the index of {what} names the units {_some(found)}, expected were {_some(wanted)}, first that "
            f"differs {strange[0]}; give the same units, or {BY_PLACE}"
        )
    if len(set(found)) < len(found):
        raise DataError(f"the index of {what} names units twice and in another order; {BY_PLACE}")
    place = {name: at for at, name in enumerate(found)}
    return [rows[place[name]] for name in wanted]


def _some(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names[:3])) + (", …" if len(names) > 3 else "")


def _vectors(given: Any, what: str) -> list[Floats]:
    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    try:
        vectors = [np.atleast_1d(np.asarray(one, dtype=np.float64)) for one in given]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} is no array of numbers; expected units × repeats, NaN where one is missing"
        ) from error
    if any(vector.ndim != 1 for vector in vectors):
        shape = np.asarray(given).shape
        raise DataError(f"{what} has the shape {shape}; expected units × repeats")
    return vectors

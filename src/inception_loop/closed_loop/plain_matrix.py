"""A confusion matrix as a lab has it, of means or of trials, in an array or a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inception_loop.closed_loop.plain import Floats, frame_of, refuse_twice, unit_names
from inception_loop.errors import DataError


def matrix_of(confusion: Any, units: Sequence[Any] | None) -> tuple[Floats, list[Any]]:
    """Return a confusion matrix (n images, n units) of mean responses and the names of the units.

    Parameters
    ----------
    confusion
        (n, n) means or (n, n, repeats) trials, images × units in the same order, or a data frame of means
        with a column a unit; NaN in trials is a repeat that is missing.
    units
        (n,) names; by default those of the frame's columns, else 0, 1, 2, …

    Raises
    ------
    DataError
        If it is not square, or a mean is missing or infinite.

    Examples
    --------
    >>> matrix_of([[[1.0, 3.0], [0, 0]], [[0.0, 0.0], [2.0, float("nan")]]], None)[0].tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    names = units
    if hasattr(confusion, "columns"):
        _same_order(confusion)
        table = frame_of(confusion, "confusion matrix")
        names = table.columns if units is None else units
        called = [str(name) for name in names]
        if called != table.columns and sorted(called) == sorted(table.columns):
            raise DataError(
                f"the columns of the confusion matrix are called {', '.join(table.columns[:3])} and so "
                f"on, the units {', '.join(called[:3])}; expected the same order; leave units away"
            )
        confusion = table.to_numpy()
    try:
        values = np.asarray(confusion, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            "the confusion matrix is no array of numbers; expected images × units, or images × units × "
            "repeats with NaN for repeats that are missing"
        ) from error
    if values.ndim == 3:
        known = np.isfinite(values)
        if np.isinf(values).any() or not known.any(axis=2).all():
            raise DataError(
                "the confusion matrix has an infinite response, or an image and unit without a trial"
            )
        values = np.where(known, values, 0.0).sum(axis=2) / known.sum(axis=2)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise DataError(
            f"the confusion matrix has the shape {values.shape}; expected images × units with one image a "
            "unit, in the same order"
        )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"{len(bad)} of {values.size} mean responses of the confusion matrix are NaN or infinite, first "
            f"image {bad[0][0]} of unit {bad[0][1]}; expected every unit's response to every image; leave "
            "such units out"
        )
    labels = unit_names(names, len(values))
    if len(labels) != len(values):
        raise DataError(f"{len(labels)} units are named, but the confusion matrix has {len(values)}")
    refuse_twice([str(label) for label in labels])
    return values, labels


def _same_order(confusion: Any) -> None:
    """Refuse a frame whose rows are named as its columns are, but stand in another order."""
    rows, columns = ([str(name) for name in getattr(confusion, axis, ())] for axis in ("index", "columns"))
    if rows != columns and sorted(rows) == sorted(columns):
        place = next(at for at, (row, column) in enumerate(zip(rows, columns, strict=True)) if row != column)
        raise DataError(
            f"row {place} of the confusion matrix is called {rows[place]}, column {place} {columns[place]}; "
            "expected images and units in the same order; sort one as the other"
        )

"""What may go into a test: one dimension, finite, enough of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inception_loop.errors import DataError

Floats = npt.NDArray[np.float64]


def finite_vector(values: npt.ArrayLike, what: str, *, least: int = 1) -> Floats:
    """Return the values as a float64 vector, or say why they cannot be used.

    Parameters
    ----------
    values
        (n,) numbers; a null of a frame counts as NaN.
    what
        What they are, in the plural, for the error.
    least
        Fewest that will do.

    Raises
    ------
    DataError
        If they are not one-dimensional, too few, or not finite.

    Examples
    --------
    >>> finite_vector([1, 2], "differences")
    array([1., 2.])
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise DataError(f"the {what} have shape {vector.shape}; expected one number a unit: (n,)")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise DataError(
            f"{bad.size} of {vector.size} {what} are NaN or infinite, first at place {bad[0]}; "
            "expected finite numbers; leave these units out and say so"
        )
    if vector.size < least:
        raise DataError(f"there are {vector.size} {what}; expected at least {least}")
    return vector


def varying_vector(values: npt.ArrayLike, what: str, *, least: int = 2) -> Floats:
    """Return the values as `finite_vector` does; refuse values that are all the same.

    Raises
    ------
    DataError
        As `finite_vector`, or if the values have zero variance.

    Examples
    --------
    >>> varying_vector([0.5, 0.7], "differences").tolist()
    [0.5, 0.7]
    """
    vector = finite_vector(values, what, least=least)
    if np.ptp(vector) <= 1e-12 * float(np.abs(vector).max()):
        raise DataError(
            f"all {vector.size} {what} are {vector[0]:.6g}: their variance is zero; expected values that "
            "differ; look at the responses that they come from"
        )
    return vector

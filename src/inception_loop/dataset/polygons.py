"""Polygons in the plane of the cortex: whether they are sound, and what lies in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Corners = Sequence[tuple[float, float]]


def crosses_itself(corners: Corners) -> bool:
    """Whether two sides of a closed polygon cross; sides that only touch do not.

    Examples
    --------
    >>> square = [(0, 0), (2, 0), (2, 2), (0, 2)]
    >>> crosses_itself(square), crosses_itself([square[i] for i in (0, 2, 1, 3)])
    (False, True)
    """
    start = np.asarray(corners, np.float64)
    end = np.roll(start, -1, axis=0)

    def side_of(point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """On which side of each polygon side (row) each point (column) lies: -1, 0 or 1."""
        along, to = (end - start)[:, None], point[None] - start[:, None]
        return np.sign(along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0])

    parts = side_of(start) * side_of(end) < 0  # the row's line passes between the column's ends
    return bool((parts & parts.T).any())


def surface(corners: Corners) -> float:
    """Area of a closed polygon, in the square of its unit.

    Examples
    --------
    >>> surface([(0, 0), (2, 0), (2, 3)])
    3.0
    """
    x, y = np.asarray(corners, np.float64).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def within(points: npt.NDArray[np.float64], corners: Corners) -> npt.NDArray[np.bool_]:
    """Whether points lie in a polygon or on its boundary (corners and sides count as inside).

    Parameters
    ----------
    points : (P, 2) float64
        x and y; a point with NaN lies nowhere.
    corners
        x and y of each corner, in order, either way round.

    Examples
    --------
    >>> within(np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]), [(0, 0), (2, 0), (2, 2), (0, 2)]).tolist()
    [True, True, False]
    """
    from skimage.measure import points_in_poly  # heavy, and few datasets need it

    inside: npt.NDArray[np.bool_] = points_in_poly(  # type: ignore[no-untyped-call]
        points, np.asarray(corners, np.float64)
    )
    return inside

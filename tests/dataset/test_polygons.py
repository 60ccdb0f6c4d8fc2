from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.dataset.polygons import crosses_itself, surface, within

SQUARE = [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)]
INSIDE = [(2, 1), (0, 0), (4, 3), (2, 0), (2, 3), (0, 1), (4, 1)]  # within, corners, sides
OUTSIDE = [(5, 1), (2, -1e-9), (4 + 1e-9, 1), (-1, 0), (5, 3), (np.nan, 1), (np.nan, np.nan)]


@pytest.mark.parametrize("corners", [SQUARE, SQUARE[::-1], SQUARE[2:] + SQUARE[:2], [*SQUARE, SQUARE[0]]])
def test_corners_and_sides_count_as_inside_whichever_way_the_corners_run(corners):
    assert within(np.array(INSIDE, float), corners).all()
    assert not within(np.array(OUTSIDE, float), corners).any()


def test_a_dent_is_outside():
    dented = [(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)]
    assert within(np.array([[2.0, 0.5], [2.0, 3.0], [0.5, 2.5]]), dented).tolist() == [True, False, True]


@given(
    st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=3, max_size=3, unique=True),
    st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=1, max_size=20),
)
def test_a_triangle_holds_what_lies_on_one_side_of_all_its_sides(corners, points):
    if surface(corners) == 0:
        return
    (ax, ay), (bx, by), (cx, cy) = corners
    want = []
    for x, y in points:
        sides = [
            (bx - ax) * (y - ay) - (by - ay) * (x - ax),
            (cx - bx) * (y - by) - (cy - by) * (x - bx),
            (ax - cx) * (y - cy) - (ay - cy) * (x - cx),
        ]
        want.append(min(sides) >= 0 or max(sides) <= 0)
    assert within(np.array(points, float), corners).tolist() == want


def test_crossing_sides_are_seen_and_touching_ones_are_not():
    assert not crosses_itself(SQUARE)
    assert crosses_itself([SQUARE[i] for i in (0, 2, 1, 3)])
    assert crosses_itself([(0, 0), (4, 0), (4, 4), (2, -1), (0, 4)])
    assert not crosses_itself([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)])  # a corner on a side
    assert not crosses_itself([*SQUARE, SQUARE[0]])


def test_the_surface_does_not_depend_on_where_or_which_way_it_is_walked():
    assert surface(SQUARE) == surface(SQUARE[::-1]) == surface([(x + 7, y - 2) for x, y in SQUARE]) == 12
    assert surface([(0, 0), (1, 1), (2, 2)]) == 0

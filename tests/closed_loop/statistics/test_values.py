import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.closed_loop.statistics.values import finite_vector, varying_vector
from inception_loop.errors import DataError


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_finite_numbers_come_back_as_they_are(values):
    assert finite_vector(values, "values").tolist() == values


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
def test_what_is_not_a_number_is_counted_and_placed(bad):
    with pytest.raises(DataError, match="1 of 3 values are NaN or infinite, first at place 2"):
        finite_vector([1.0, 2.0, bad], "values")


def test_equal_values_are_refused_whatever_their_last_bits():
    with pytest.raises(DataError, match="variance is zero"):
        varying_vector([0.1 + 0.2, 0.3, 0.3], "values")
    assert varying_vector([1e6, 1e6 + 1e-3], "values").size == 2

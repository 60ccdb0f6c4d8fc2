import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.dataset import unit_columns as module
from inception_loop.dataset.unit_columns import correlations, unit_columns


@given(st.floats(0.1, 100), st.integers(0, 50))
def test_correlations_do_not_ask_for_scale(scale, seed):
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(2, 30, 3))
    found = correlations(one, other)
    np.testing.assert_allclose(correlations(one * scale + 1, other), found, atol=1e-9)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, other.T, strict=True)]
    np.testing.assert_allclose(found, expected)


def test_columns_that_vary_by_rounding_alone_have_no_correlation():
    rng = np.random.default_rng(0)
    nearly = 0.1 + 1e-17 * rng.normal(size=(50, 1))
    assert np.isnan(correlations(nearly, rng.normal(size=(50, 1)))).all()


@pytest.mark.parametrize("size", [1, 100, 10**9])
def test_blocks_cover_all_units_once_in_double_precision(size, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    blocks = list(unit_columns(values))
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks], axis=1), values)
    assert all(block.dtype == np.float64 for _, block in blocks)
    np.testing.assert_array_equal(
        np.concatenate([np.arange(7)[columns] for columns, _ in blocks]), np.arange(7)
    )

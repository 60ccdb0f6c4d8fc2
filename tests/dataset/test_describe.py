from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from inception_loop.dataset import describe as module
from inception_loop.dataset.describe import describe, describe_images
from inception_loop.errors import DataError


def test_columns_are_described_with_ddof_1():
    values = np.random.default_rng(0).gamma(1.0, size=(50, 4)).astype(np.float32)
    table = describe(values)
    np.testing.assert_allclose(table["mean"], values.astype(float).mean(0))
    np.testing.assert_allclose(table["std"], values.astype(float).std(0, ddof=1))
    np.testing.assert_array_equal(table["median"], np.median(values, 0).astype(float))
    np.testing.assert_array_equal(table["min"], values.min(0))
    np.testing.assert_array_equal(table["max"], values.max(0))
    assert table["n"].to_list() == [50] * 4


def test_a_large_offset_costs_no_precision():
    values = np.random.default_rng(1).normal(size=(1000, 1))
    np.testing.assert_allclose(describe(values + 1e8)["std"], values.std(ddof=1), rtol=1e-6)


def test_untracked_values_are_left_out():
    table = describe(np.array([[1.0, 1], [np.nan, 3], [5, np.nan]]))
    assert table["mean"].to_list() == [3.0, 2.0]
    assert table["n"].to_list() == [2, 2]


def test_fewer_than_two_values_are_an_error():
    with pytest.raises(DataError, match="column 1 has 1 values"):
        describe(np.array([[1.0, 1], [2, np.nan]]))


def test_images_are_one_number_or_the_mean_of_each():
    frames = np.random.default_rng(2).uniform(0, 255, (6, 4, 5)).astype(np.float32)
    every = np.arange(len(frames))
    whole, each = describe_images(frames, every, False), describe_images(frames, every, True)
    assert whole["std"].item() == pytest.approx(frames.astype(float).std(ddof=1))
    assert each["std"].item() == pytest.approx(np.mean([f.astype(float).std(ddof=1) for f in frames]))
    assert each["mean"].item() == pytest.approx(whole["mean"].item())


def test_an_image_that_was_shown_twice_counts_twice():
    frames = np.random.default_rng(3).uniform(0, 255, (3, 4, 5)).astype(np.float32)
    table = describe_images(frames, np.array([0, 2, 2]), False)
    shown = frames[[0, 2, 2]].astype(float)
    assert table.select("n", "min", "max").row(0) == (60, shown.min(), shown.max())
    assert table["mean"].item() == pytest.approx(shown.mean())
    assert table["std"].item() == pytest.approx(shown.std(ddof=1))
    assert table["median"].item() == pytest.approx(np.median(shown))


@pytest.mark.parametrize("block", [8, 800, 10**9])
def test_numbers_do_not_depend_on_the_size_of_the_blocks(block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    rng = np.random.default_rng(4)
    values = rng.gamma(1.0, size=(41, 7)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    kept = values.copy()
    table = describe(values)
    np.testing.assert_array_equal(values, kept)
    exact = values.astype(float)
    np.testing.assert_array_equal(table["index"], np.arange(7))
    np.testing.assert_array_equal(table["n"], (~np.isnan(exact)).sum(0))
    np.testing.assert_allclose(table["mean"], np.nanmean(exact, 0), rtol=1e-12)
    np.testing.assert_allclose(table["std"], np.nanstd(exact, 0, ddof=1), rtol=1e-12)
    np.testing.assert_array_equal(table["min"], np.nanmin(exact, 0))
    np.testing.assert_array_equal(table["max"], np.nanmax(exact, 0))
    np.testing.assert_array_equal(table["median"], np.nanmedian(values, 0))


def test_columns_are_never_copied_as_a_whole(monkeypatch):
    values = np.random.default_rng(5).random((500, 4000), dtype=np.float32)
    monkeypatch.setattr(module, "BLOCK_BYTES", 2**18)
    describe(values)
    tracemalloc.start()
    describe(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes / 4

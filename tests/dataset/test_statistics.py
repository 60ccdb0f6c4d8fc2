from __future__ import annotations

import numpy as np
import pytest

from inception_loop.dataset.config import Statistic
from inception_loop.dataset.parts import UsedTrials
from inception_loop.dataset.statistics import describe, describe_images, member_statistics
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
    whole, each = describe_images(frames, False), describe_images(frames, True)
    assert whole["std"].item() == pytest.approx(frames.astype(float).std(ddof=1))
    assert each["std"].item() == pytest.approx(np.mean([f.astype(float).std(ddof=1) for f in frames]))
    assert each["mean"].item() == pytest.approx(whole["mean"].item())


def test_only_trials_of_the_normalising_tier_count():
    rng = np.random.default_rng(3)
    used = UsedTrials(
        frames=rng.uniform(0, 255, (8, 2, 3)).astype(np.float32),
        frame_row=np.array([0, 1, 1, 2, 7]),
        responses=rng.random((5, 3), dtype=np.float32),
        behavior=rng.random((5, 3)),
        pupil_center=None,
    )
    tier = np.array(["train", "train", "train", "validation", "test"])
    table = member_statistics(used, tier, Statistic())
    assert set(table["what"]) == {"images", "responses", "behavior"}
    images = table.filter(what="images")
    assert images["mean"].item() == pytest.approx(used.frames[[0, 1, 1]].mean(), rel=1e-6)
    responses = table.filter(what="responses")
    np.testing.assert_allclose(responses["std"], used.responses[:3].std(0, ddof=1), rtol=1e-6)
    with pytest.raises(DataError, match="1 trials of tier 'test'"):
        member_statistics(used, tier, Statistic(norm_tier="test"))

from __future__ import annotations

import numpy as np
import pytest

from inception_loop.dataset import normalization
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import MemberStatistics
from inception_loop.dataset.normalization import normaliser, safe_scale
from inception_loop.errors import DataError

STATISTICS = MemberStatistics(
    image_mean=100.0,
    image_std=50.0,
    response_mean=np.array([1.0, 1.0, 1.0]),
    response_std=np.array([2.0, 1e-6, 4.0]),
    behavior_mean=np.array([5.0, 0.0, 3.0]),
    behavior_std=np.array([1.0, 2.0, 4.0]),
    pupil_mean=np.array([10.0, 20.0]),
    pupil_std=np.array([2.0, 5.0]),
)


def test_each_part_by_its_rule():
    rule = normaliser(STATISTICS, CorrectedAreaLayer())
    np.testing.assert_allclose(rule.images(np.full((1, 2, 2), 150.0)), 1.0)
    np.testing.assert_allclose(rule.responses(np.array([2.0, 3.0, 4.0])), [1, 3, 1])  # the silent unit stays
    np.testing.assert_allclose(rule.behavior(np.array([5.0, 4.0, 4.0])), [5, 2, 1])  # not centred
    np.testing.assert_allclose(rule.pupil_center(np.array([12.0, 15.0])), [1, -1])


def test_a_std_of_exactly_one_percent_still_counts():
    std = np.array([1.0, 1.0, 0.0], np.float64)
    std[2] = 0.02 / (3 - 0.01)  # 1 % of the mean, which it is part of
    assert safe_scale(std * 1.0001)[2] != 1
    std[2] *= 0.99
    assert safe_scale(std)[2] == 1


def test_constant_data_stay_finite():
    np.testing.assert_array_equal(safe_scale(np.zeros(3)), 1.0)


def test_excluded_parts_and_no_normalisation_leave_values_as_they_are():
    values = np.array([2.0, 3.0, 4.0])
    part = normaliser(STATISTICS, CorrectedAreaLayer(exclude=("images", "responses")))
    np.testing.assert_allclose(part.images(np.full((1, 2, 2), 150.0)), 150.0)
    np.testing.assert_allclose(part.responses(values), values)
    np.testing.assert_allclose(part.behavior(values), [2, 1.5, 1])
    off = normaliser(STATISTICS, CorrectedAreaLayer(normalize=False))
    np.testing.assert_allclose(off.pupil_center(np.array([12.0, 15.0])), [12, 15])
    np.testing.assert_allclose(off.behavior(values), values)


def test_each_image_by_its_own_mean_and_std():
    images = np.random.default_rng(0).uniform(0, 255, (4, 6, 7)).astype(np.float32)
    got = normaliser(STATISTICS, CorrectedAreaLayer(normalize_per_image=True)).images(images)
    np.testing.assert_allclose(got.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(got.std((1, 2), ddof=1), 1, rtol=1e-5)


def test_what_was_not_recorded_cannot_be_normalised():
    bare = MemberStatistics(0.0, 1.0, np.zeros(1), np.ones(1), None, None, None, None)
    rule = normaliser(bare, CorrectedAreaLayer())
    with pytest.raises(DataError, match="behaviour"):
        rule.behavior(np.zeros(3))
    with pytest.raises(DataError, match="pupil"):
        rule.pupil_center(np.zeros(2))


def test_the_order_of_exclusions_is_no_other_question():
    first = CorrectedAreaLayer(exclude=("responses", "images"))
    assert first == CorrectedAreaLayer(exclude=("images", "responses", "images"))


def test_responses_are_divided_in_float64_in_place_or_not():
    rng = np.random.default_rng(0)
    values = rng.gamma(1.0, size=(50, 3)).astype(np.float32)
    rule = normaliser(STATISTICS, CorrectedAreaLayer())
    slow = (values.astype(np.float64) / rule.response_scale).astype(np.float32)
    before = values.copy()
    fresh = rule.responses(values)
    np.testing.assert_array_equal(fresh, slow)
    np.testing.assert_array_equal(values, before)
    assert rule.responses(values, out=values) is values
    np.testing.assert_array_equal(values, slow)


@pytest.mark.parametrize("at_once", [1, 3, 4, 100])
def test_blocks_of_images_change_nothing(monkeypatch, at_once):
    monkeypatch.setattr(normalization, "IMAGES_AT_ONCE", at_once)
    images = np.random.default_rng(1).uniform(0, 255, (10, 6, 7)).astype(np.float32)
    images[4] = 9.0  # constant: stays finite
    rule = normaliser(STATISTICS, CorrectedAreaLayer(normalize_per_image=True))
    mean = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    std = images.std(axis=(1, 2), keepdims=True, ddof=1, dtype=np.float64)
    slow = ((images - mean) / np.where(std == 0, 1, std)).astype(np.float32)
    np.testing.assert_array_equal(rule.images(images), slow)
    np.testing.assert_array_equal(rule.images(images[2]), slow[2])


def test_images_that_are_mapped_read_only_are_left_alone():
    images = np.random.default_rng(2).uniform(0, 255, (5, 6, 7)).astype(np.float32)
    images.flags.writeable = False
    for data in (CorrectedAreaLayer(), CorrectedAreaLayer(normalize=False)):
        rule = normaliser(STATISTICS, data)
        got = rule.images(images)
        np.testing.assert_array_equal(got, ((images - rule.image_mean) / rule.image_std).astype(np.float32))
        assert got.flags.writeable

"""Sessions of natural images."""

import numpy as np
import polars as pl
import pytest

from inception_loop.animals.session import NaturalSessionConfig, Session, natural_session
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.recordings.condition import condition_hash

CONFIG = NaturalSessionConfig(n_train=120, n_repeated=12, repeats=5, seed=2)


@pytest.fixture(scope="module")
def shown():
    return natural_session(CONFIG)


def test_single_images_come_once_and_repeated_ones_as_often_as_asked(shown):
    counts = np.bincount(shown.order)
    assert sorted(set(counts[:120])) == [1]
    assert sorted(set(counts[120:])) == [5]
    np.testing.assert_array_equal(shown.repeated(), np.arange(120, 132))


def test_no_source_feeds_both_single_and_repeated_images(shown):
    source = shown.conditions["source_id"].to_list()
    single, repeated = set(source[:120]), set(source[120:])
    assert not single & repeated
    assert any(s.startswith("photograph") for s in repeated)
    assert any(s.startswith("dead-leaves") for s in repeated)


def test_every_fifth_of_the_session_shows_each_repeated_image_once(shown):
    for block in np.array_split(shown.order, 5):
        assert sorted(block[block >= 120]) == list(range(120, 132))


def test_the_hash_of_a_condition_is_that_of_its_image(shown):
    for row in shown.conditions.sample(10, seed=1).iter_rows(named=True):
        assert row["condition_hash"] == condition_hash(shown.images[row["image_row"]], 0.5)
    assert shown.conditions["condition_hash"].is_unique().all()


def test_the_same_configuration_gives_the_same_session(shown):
    again = natural_session(CONFIG)
    np.testing.assert_array_equal(again.images, shown.images)
    np.testing.assert_array_equal(again.order, shown.order)
    assert again.conditions.equals(shown.conditions)


def test_neither_train_nor_repeated_images_is_refused():
    with pytest.raises(ConfigurationError, match="expected at least 1 image"):
        natural_session(NaturalSessionConfig(n_train=0, n_repeated=0))


def test_a_session_without_single_images_is_a_session():
    session = natural_session(NaturalSessionConfig(n_train=0, n_repeated=4, repeats=3))
    assert len(session.order) == 12


def test_an_order_or_table_that_does_not_fit_is_refused(shown):
    for order in (np.array([132]), np.array([-1])):
        with pytest.raises(DataError, match="expected rows of a table of 132"):
            Session(shown.images, shown.conditions, order)
    with pytest.raises(DataError, match="at least one presentation"):
        Session(shown.images, shown.conditions, np.zeros(0, dtype=np.int64))
    with pytest.raises(DataError, match="lack 'source_id'"):
        Session(shown.images, shown.conditions.select(pl.exclude("source_id")), shown.order)

"""The best image itself has share 1; a filter's image has cosine 1; order and contrast do not matter."""

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import DataError
from inception_loop.recovery.images import judge_images

MEAN, NORM = 120.0, 300.0


@pytest.fixture(scope="module")
def panel(truth):
    return truth.units.filter(pl.col("kind").is_in(["simple", "complex"])).select("unit_id", "kind")[:12]


@pytest.fixture(scope="module")
def respond(animal):
    return animal.respond


def best(truth, panel) -> np.ndarray:
    columns = [truth.units["unit_id"].to_list().index(unit) for unit in panel["unit_id"]]
    return truth.best_image[columns]


def judged(images, panel, truth, respond) -> pl.DataFrame:
    return judge_images(images.astype(np.float32), panel["unit_id"].to_numpy(), panel, truth, respond)


def test_the_best_image_has_share_one_and_a_simple_cells_filter_cosine_one(truth, panel, respond) -> None:
    found = judged(MEAN + NORM * best(truth, panel), panel, truth, respond)
    assert found.select("unit_id", "kind").equals(panel)
    np.testing.assert_allclose(found["share_of_maximum"], 1, rtol=1e-4)
    np.testing.assert_allclose(found.filter(kind="simple")["cosine"], 1, rtol=1e-4)
    assert found.filter(kind="complex")["cosine"].is_null().all()
    assert set(found["kind"]) == {"simple", "complex"}


def test_the_opposite_of_a_simple_cells_best_image_has_cosine_minus_one(truth, panel, respond) -> None:
    found = judged(MEAN - NORM * best(truth, panel), panel, truth, respond).filter(kind="simple")
    np.testing.assert_allclose(found["cosine"], -1, rtol=1e-4)
    assert (found["share_of_maximum"] < 0.2).all()


def test_no_image_beats_the_best_one(truth, panel, respond) -> None:
    rng = np.random.default_rng(1)
    images = rng.normal(size=(panel.height, 36, 64))
    mixed = best(truth, panel) + images / np.linalg.norm(images, axis=(1, 2), keepdims=True)
    found = judged(MEAN + NORM * mixed / 2, panel, truth, respond)
    assert (found["share_of_maximum"] < 1).all()
    assert (found.filter(kind="simple")["cosine"] < 0.95).all()


def test_images_are_found_by_their_unit_in_whatever_order_they_come(truth, panel, respond) -> None:
    images = (MEAN + NORM * best(truth, panel)).astype(np.float32)
    order = np.random.default_rng(2).permutation(panel.height)
    units = panel["unit_id"].to_numpy()
    found = judge_images(images[order], units[order], panel, truth, respond)
    assert found.equals(judge_images(images, units, panel, truth, respond))


def test_a_panel_unit_without_an_image_is_named(truth, panel, respond) -> None:
    images = (MEAN + NORM * best(truth, panel)).astype(np.float32)
    with pytest.raises(DataError, match=f"an image of unit {panel['unit_id'][-1]}"):
        judge_images(images[:-1], panel["unit_id"].to_numpy()[:-1], panel, truth, respond)

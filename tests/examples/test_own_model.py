"""The example of an own model does what it says: scores, selection and images, in under a minute."""

import numpy as np
import pytest
import torch

from inception_loop.artifacts.store import open_store


@pytest.fixture(scope="module")
def example(load_example):
    return load_example("own_model")


@pytest.fixture(scope="module")
def made(example, one_thread):
    found = example.main("memory://own-model-example", n_units=60, n_train=300, epochs=3)
    return open_store("memory://own-model-example"), found


def test_own_models_stand_in_for_cnn_and_linear_control_in_the_selection(made):
    store, found = made
    inputs = store.inputs(found.selection)
    assert inputs["cnn_scores"] == [found.scores["network"]]
    assert inputs["linear_scores"] == [found.scores["ridge"]]
    table = store.table(found.selection, "corrected_high_unit_selection")
    for label, column in (("network", "cnn_test_corr"), ("ridge", "lin_test_corr")):
        scores = store.table(found.scores[label], "unit_test_scores")
        both = table.join(scores, on=["name", "unit_id"])
        np.testing.assert_allclose(both[column].to_numpy(), both["test_corr"].to_numpy(), equal_nan=True)


def test_images_are_those_of_the_selected_units_and_hang_on_the_own_model(made):
    store, found = made
    chosen = store.table(found.selection, "corrected_high_unit_selection").drop_nulls("hu_rank")
    images = store.table(found.mei, "mei")
    assert set(images["unit_id"]) == set(chosen["unit_id"])
    assert store.inputs(found.mei)["model"] == [found.scores["network"]]
    assert (images["activation"] > 0).all()


def test_the_ridge_is_the_closed_form(example):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (40, 3, 5)).astype(np.float32)
    filters = rng.normal(size=(15, 2)) / 100
    responses = (images.reshape(40, -1) @ filters).astype(np.float32)
    ridge = example.Ridge(images, responses, strength=1e-9)
    np.testing.assert_allclose(ridge.weight.numpy(), filters, atol=1e-5)
    np.testing.assert_allclose(ridge(torch.from_numpy(images)).numpy(), responses, rtol=1e-3, atol=1e-3)


def test_a_second_run_fits_the_same_models_and_finds_everything_there(example, made):
    _, found = made
    again = example.main("memory://own-model-example", n_units=60, n_train=300, epochs=3)
    assert again == found

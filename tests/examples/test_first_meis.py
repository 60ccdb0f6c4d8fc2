"""The first steps in Python end well: true cells answer more to their MEI than to any photograph."""

import pytest


@pytest.fixture(scope="module")
def answers(load_example, one_thread):
    return load_example("first_meis").main(
        "memory://first-meis-example", cells=40, trials=400, epochs=4, wanted=3
    )


def test_true_cells_prefer_their_meis_to_the_best_natural_image(answers):
    assert answers.height == 3
    assert (answers["own MEI"] > answers["best natural image"]).all()

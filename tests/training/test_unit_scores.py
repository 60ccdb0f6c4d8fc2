"""All scores of a prediction together: which exist when, and what a table of them holds."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import DataError
from inception_loop.training.scores import group_repeats, pearson, repeat_scores
from inception_loop.training.unit_scores import SCORES, score_table, score_trials

ONCE = ("test_corr", "poisson_loss", "bits_per_response")


@pytest.fixture
def trials():
    """(prediction, response, image) of 12 images, 3 to 5 repeats, 40 units."""
    rng = np.random.default_rng(0)
    image = rng.permutation(np.repeat(np.arange(12), rng.integers(3, 6, 12)))
    drive = rng.gamma(2, 1, (12, 40))
    return drive[image], rng.gamma(2, drive[image] / 2), image.astype(str)


def test_scores_over_repeats_are_those_of_their_functions(trials):
    predicted, observed, image = trials
    scores = score_trials(predicted, observed, image, 0.15)
    assert set(scores) == set(SCORES)
    repeats = group_repeats(image, observed, predicted)
    known = repeat_scores(repeats, observed, predicted)._asdict()
    for name in ("corr_to_mean", "fev", "signal_power", "ceiling", "cc_max", "cc_norm"):
        np.testing.assert_array_equal(scores[name], known[name])
    explainable = known["fev"] >= 0.15
    assert 0 < explainable.sum() <= 40
    np.testing.assert_array_equal(scores["feve"], np.where(explainable, known["feve"], np.nan))
    np.testing.assert_array_equal(scores["test_corr"], pearson(predicted, observed))
    np.testing.assert_array_equal(scores["oracle"], repeats.oracle(observed))


@pytest.mark.parametrize("shown", ["once", "one image"])
def test_without_repeated_images_to_compare_there_are_the_scores_of_single_trials_alone(trials, shown):
    predicted, observed, _ = trials
    condition = np.arange(len(observed)).astype(str)
    if shown == "one image":
        condition[:5] = "x"
    scores = score_trials(predicted, observed, condition, 0.15)
    for name, values in scores.items():
        assert np.isnan(values).all() == (name not in ONCE), name


def test_a_silent_unit_has_no_score_but_its_loss(trials):
    predicted, observed, image = trials
    observed[:, 3] = 0
    scores = score_trials(predicted, observed, image, 0.15)
    have = {name for name, values in scores.items() if not np.isnan(values[3])}
    assert have == {"poisson_loss", "signal_power"}
    units = pl.DataFrame({"name": "a", "neuron_id": range(40), "unit_id": range(1, 41), "layer": "L4"})
    table = score_table(units, scores)
    assert table.columns == ["name", "neuron_id", "unit_id", *SCORES]
    assert table["test_corr"].null_count() == table["oracle"].null_count() == 1
    assert not any(table[name].is_nan().any() for name in SCORES)


def test_one_trial_cannot_be_scored(trials):
    predicted, observed, image = (part[:1] for part in trials)
    with pytest.raises(DataError, match="at least 2 rows"):
        score_trials(predicted, observed, image, 0.15)

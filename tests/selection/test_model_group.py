from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import DataError
from inception_loop.selection.model_group import choose_models, configuration_key


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_best_configuration_has_the_highest_mean_over_seeds(seed):
    rng = np.random.default_rng(seed)
    rows = [
        {
            "model": f"{f}{c}{s}",
            "family": f,
            "configuration": f"{f}-{c}",
            "seed": s,
            "val_corr": round(rng.random(), 1),
        }
        for f in ("cnn", "linear", "other")
        for c in range(5)
        for s in range(int(rng.integers(1, 5)))
    ]
    table = choose_models(pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=seed))
    for family in ("cnn", "linear"):
        means = {}
        for row in rows:
            if row["family"] == family:
                means.setdefault(row["configuration"], []).append(row["val_corr"])
        best = min(means, key=lambda c: (-np.mean(means[c]).round(12), c))
        chosen = table.filter("chosen", family=family)
        assert np.mean(means[chosen["configuration"][0]]) == pytest.approx(np.mean(means[best]))
        assert chosen["configuration"].n_unique() == 1
        assert chosen.height == len(means[chosen["configuration"][0]]) == chosen["n_seeds"][0]
        assert chosen["seed"].to_list() == sorted(chosen["seed"])
        assert chosen["mean_val_corr"][0] == pytest.approx(np.mean(means[best]))
    assert "other" not in set(table["family"])


def test_a_tie_goes_to_the_lower_digest():
    table = pl.DataFrame(
        {"model": ["a", "b", "c"], "family": ["cnn", "cnn", "linear"], "configuration": ["y", "x", "z"],
         "seed": [1, 1, 1], "val_corr": [0.5, 0.5, 0.1]}
    )  # fmt: skip
    assert choose_models(table).filter("chosen", family="cnn")["model"].to_list() == ["b"]


def test_a_family_without_models_is_an_error():
    table = pl.DataFrame(
        {"model": ["a"], "family": ["cnn"], "configuration": ["y"], "seed": [1], "val_corr": [0.5]}
    )
    with pytest.raises(DataError, match="'linear'"):
        choose_models(table)


def test_the_seed_is_no_part_of_a_configuration_but_all_else_is():
    config = {"network": {"core": {"type": "GaussianLaplace"}}, "seed": 1}
    assert configuration_key(config) == configuration_key({**config, "seed": 2})
    assert configuration_key(config) != configuration_key({**config, "network": {}})

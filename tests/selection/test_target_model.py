from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import DataError
from inception_loop.selection.target_model import TargetModelConfig, choose_targets


def random_models(seed, n=30):
    rng = np.random.default_rng(seed)
    family, role = rng.choice(["cnn", "linear"], n), rng.choice(["ensemble", "validator", ""], n)
    rest = {"configuration": "x", "core": "Stacked2d", "seed": rng.integers(0, 9, n), "val_corr": 0.5}
    return pl.DataFrame({"family": family, "role": role, **rest, "model": [f"m{i:02}" for i in range(n)]})


@settings(max_examples=15)
@given(
    st.integers(0, 10**6),
    st.lists(st.sampled_from(["cnn", "linear"]), min_size=1, max_size=3),
    st.lists(st.sampled_from(["ensemble", "validator"]), min_size=1, max_size=3),
)
def test_the_wanted_models_are_those_of_the_wanted_families_and_roles(seed, families, roles):
    models = random_models(seed)
    want = [row for row in models.rows(named=True) if row["family"] in families and row["role"] in roles]
    want.sort(key=lambda row: (row["family"], row["role"], row["seed"], row["model"]))
    table = choose_targets(models, TargetModelConfig(group_id=0, families=families, roles=roles))
    assert table.rows(named=True) == [{name: row[name] for name in table.columns} for row in want]


def test_the_order_of_wishes_is_no_part_of_the_question():
    one = TargetModelConfig(group_id=0, families=("linear", "cnn"), roles=("validator", "ensemble"))
    assert one == TargetModelConfig(group_id=0)


def test_no_wanted_model_is_an_error():
    nobody = random_models(1).with_columns(role=pl.lit("ensemble"))
    with pytest.raises(DataError, match="none of 30 models is validator of the families cnn; expected"):
        choose_targets(nobody, TargetModelConfig(group_id=0, families=("cnn",), roles=("validator",)))

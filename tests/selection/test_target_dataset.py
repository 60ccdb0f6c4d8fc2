from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.errors import DataError
from inception_loop.selection.target_dataset import target_units

SIZES = {"a": 40, "b": 25}


def random_units(seed):
    rng = np.random.default_rng(seed)
    n = sum(SIZES.values())
    return pl.DataFrame(
        {
            "name": np.repeat(list(SIZES), list(SIZES.values())),
            "neuron_id": np.concatenate([np.arange(k) for k in SIZES.values()]),
            "unit_id": rng.permutation(n),
            "brain_area": rng.choice(["V1", "LM", "AL"], n),
            "layer": rng.choice(["L2/3", "L4"], n),
            "field": 1,
        }
    ).sample(fraction=1, shuffle=True, seed=seed)


@settings(max_examples=20)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["all", "V1", ("V1", "LM"), ("LM", "all")]),
    st.sampled_from(["all", "L2/3", "L4"]),
)
def test_units_are_numbered_anew_in_their_order_member_by_member(seed, area, layer):
    units = random_units(seed)
    areas = {area} if isinstance(area, str) else set(area)
    want = []
    for name in SIZES:
        column = 0
        for row in units.filter(name=name).sort("neuron_id").rows(named=True):
            if ("all" in areas or row["brain_area"] in areas) and layer in ("all", row["layer"]):
                want.append((name, column, row["unit_id"], row["brain_area"], row["layer"]))
                column += 1
    assume({row[0] for row in want} == set(SIZES))  # a member without such a unit is refused, see below
    assert target_units(units, CorrectedAreaLayer(brain_area=area, layer=layer)).rows() == want


def test_a_member_without_such_a_unit_is_an_error():
    units = random_units(1).filter((pl.col("name") == "a") | (pl.col("layer") == "L4"))
    with pytest.raises(DataError, match="b has no unit in layer 'L2/3' of area 'all' among 1"):
        target_units(units, CorrectedAreaLayer())

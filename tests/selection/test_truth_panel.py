from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from inception_loop.errors import DataError
from inception_loop.selection.truth_panel import TruthPanelConfig, choose_panel


def animal(seed=0, n=200):
    rng = np.random.default_rng(seed)
    kind = rng.choice(["simple", "complex", "mixed", "unresponsive"], n, p=[0.3, 0.3, 0.25, 0.15])
    pure = {"simple": 0.0, "complex": 1.0}
    complexity = [pure.get(k, c) for k, c in zip(kind, rng.random(n), strict=True)]
    return pl.DataFrame(
        {
            "name": "m",
            "unit_id": np.arange(n),
            "kind": kind,
            "complexity": complexity,
            "signal_variance": rng.random(n),
            "noise_variance": rng.random(n),
        }
    )


def units_of(truth):
    return truth.select("name", "unit_id", neuron_id=pl.int_range(pl.len()))


def test_the_panel_holds_the_units_of_most_signal_among_the_pure_ones():
    truth = animal()
    panel = choose_panel(truth, units_of(truth), TruthPanelConfig(group_id=1, n_simple=12, n_complex=15))
    for kind, n in (("simple", 12), ("complex", 15)):
        of_kind = truth.filter(kind=kind).with_columns(r=pl.col("signal_variance") / pl.col("noise_variance"))
        want = of_kind.sort("r", descending=True)["unit_id"][:n].to_list()
        assert panel.filter(kind=kind)["unit_id"].to_list() == want


def test_purity_comes_before_signal():
    truth = animal().with_columns(
        complexity=pl.when(pl.col("kind") == "simple").then(pl.col("unit_id") / 1000).otherwise("complexity")
    )
    panel = choose_panel(truth, units_of(truth), TruthPanelConfig(group_id=1))
    simple = panel.filter(kind="simple")["unit_id"].to_list()
    assert simple == sorted(truth.filter(kind="simple")["unit_id"])[:20]


def test_only_units_of_the_dataset_are_chosen():
    truth = animal()
    units = units_of(truth).filter(pl.col("unit_id") % 2 == 0)
    panel = choose_panel(truth, units, TruthPanelConfig(group_id=1))
    assert set(panel["unit_id"]) <= set(units["unit_id"])
    joined = panel.join(units, on="unit_id", suffix="_want")
    assert (joined["neuron_id"] == joined["neuron_id_want"]).all()


def test_too_few_units_of_a_kind_are_an_error():
    truth = animal().filter(pl.col("kind") != "complex")
    with pytest.raises(DataError, match="0 complex"):
        choose_panel(truth, units_of(truth), TruthPanelConfig(group_id=1))

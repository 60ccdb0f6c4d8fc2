from __future__ import annotations

import numpy as np
import polars as pl

from inception_loop.selection.ranking import rank_units


def test_units_are_ranked_in_each_member_best_first():
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "name": np.repeat(["b", "a"], [30, 20]),
            "neuron_id": [*range(30), *range(20)],
            "unit_id": rng.permutation(50),
            "oracle_pearson": np.round(rng.uniform(-0.2, 0.8, 50), 1),  # with ties
        }
    ).with_columns(oracle_pearson=pl.when(pl.col("neuron_id") == 3).then(None).otherwise("oracle_pearson"))
    got = rank_units(table)
    for name, n in (("a", 20), ("b", 30)):
        rows = list(table.filter(name=name).rows(named=True))
        rows.sort(key=lambda r: (r["oracle_pearson"] is None, -(r["oracle_pearson"] or 0), r["unit_id"]))
        mine = got.filter(name=name)
        assert mine["unit_id"].to_list() == [r["unit_id"] for r in rows]
        assert mine["rank"].to_list() == list(range(n))
        np.testing.assert_allclose(mine["top_ptile"], np.arange(n) / n)

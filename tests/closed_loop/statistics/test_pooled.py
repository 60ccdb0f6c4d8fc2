import numpy as np
import pytest

from inception_loop.closed_loop.statistics.bootstrap import interval
from inception_loop.closed_loop.statistics.pooled import pooled_interval
from inception_loop.errors import DataError


def test_the_pooled_interval_holds_the_mean_of_these_loops_in_95_of_100_experiments():
    rng = np.random.default_rng(5)
    loops = np.repeat([0, 1, 2], [6, 10, 25])
    effects = np.array([-1.0, 0.5, 3.0])  # loops that differ do not widen it: it is about these
    truth, held, wide = float(effects[loops].mean()), 0, []
    for seed in range(300):
        found = pooled_interval(effects[loops] + rng.normal(size=41), loops, n_resamples=399, seed=seed)
        held += found.lower < truth < found.upper
        wide.append(found.upper - found.lower)
    assert 0.92 * 300 <= held <= 0.985 * 300
    assert np.median(wide) < 0.8


def test_one_loop_pooled_is_that_loop():
    values = np.random.default_rng(0).normal(0.4, 1, 30)
    alone, pooled = interval(values, seed=1), pooled_interval(values, np.zeros(30), seed=1)
    assert pooled.value == alone.value
    np.testing.assert_allclose([pooled.lower, pooled.upper], [alone.lower, alone.upper], atol=0.05)
    with pytest.raises(DataError, match="level 2 cannot be had"):
        pooled_interval(values, np.zeros(30), level=2)

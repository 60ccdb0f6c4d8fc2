from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from inception_loop.training.early_stopping import EarlyStopping


def trace(values, patience, tolerance=0.0):
    """Return how many values are taken before it is exhausted, and the best."""
    stopping = EarlyStopping(patience, tolerance)
    for taken, value in enumerate(values, 1):
        stopping.improves(value)
        if stopping.exhausted:
            return taken, stopping.best
    return len(values), stopping.best


def test_a_scripted_objective_stops_where_patience_runs_out():
    assert trace([0.1, 0.3, 0.2, 0.25, 0.4, 0.3, 0.3, 0.3, 0.9], patience=3) == (8, 0.4)
    assert trace([0.1, 0.3, 0.2, 0.25, 0.4, 0.3, 0.3, 0.3, 0.9], patience=4) == (9, 0.9)


def test_a_rise_within_the_tolerance_does_not_count():
    stopping = EarlyStopping(patience=2, tolerance=0.1, best=0.5)
    assert not stopping.improves(0.6)
    assert stopping.improves(0.65)


def test_nan_is_never_an_improvement():
    stopping = EarlyStopping(patience=1, tolerance=0.0, best=0.5)
    assert not stopping.improves(math.nan)
    assert stopping.exhausted
    assert stopping.best == 0.5


def test_a_new_stage_keeps_the_best_and_waits_anew():
    stopping = EarlyStopping(patience=1, tolerance=0.0, best=0.5, waited=1)
    stopping.renew()
    assert (stopping.best, stopping.exhausted) == (0.5, False)


@given(st.lists(st.floats(-1, 1), min_size=1), st.integers(1, 5))
def test_the_best_is_the_maximum_of_what_was_taken(values, patience):
    taken, best = trace(values, patience)
    assert best == max(values[:taken])

"""Probability of each pair over all one-to-one pairings, each of which weighs the product of its pairs' odds.

Belief propagation is fast, and exact where the candidates form no cycle. Where they do (two neighbours that
may have been swapped), it is too sure of itself: of the pairs that it gave 0.98, 0.95 were right on data
drawn from the model itself. There the sum over pairings is done by a forward–backward sweep.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, reverse_cuthill_mckee

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_LOG_ODDS = 25.0  # 1e-11 from certainty: beyond, differences of large numbers lose their digits
ROUNDS, TOLERANCE = 300, 1e-6
LEAST_LOG_ODDS = -4.0  # less likely pairs are too rare to bind neighbours into a cycle
LEAST_OF_BEST = -10.0  # nor are those far behind the best pair of both units
MOST_STATES = 1024  # sets of taken somata that a sweep carries on
RIVALS = 5  # sources swept together where a component is wider than that


def propagated(
    log_odds: Floats, source: Ints, later: Ints, messages: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return the marginal probability of P pairs by belief propagation, and the final messages (P,).

    Williams & Lau 2014, IEEE Trans. Aerosp. Electron. Syst. 50; it always converges.

    Parameters
    ----------
    log_odds
        (P,) log of how much likelier a pair is than leaving both units alone.
    source, later
        (P,) rows of the units.
    messages
        To start from: those of nearly the same odds.

    Examples
    --------
    >>> probability, _ = propagated(np.log([3.0, 1.0]), np.array([0, 0]), np.array([0, 1]))
    >>> probability.round(3)
    array([0.6, 0.2])
    """
    odds = np.exp(np.minimum(log_odds, MOST_LOG_ODDS))
    back = np.ones(len(odds)) if messages is None else messages
    n, m = int(source.max(initial=-1)) + 1, int(later.max(initial=-1)) + 1
    for _ in range(ROUNDS):
        claim = odds * back
        forth = odds / (1 + np.maximum(np.bincount(source, claim, n)[source] - claim, 0))
        after = 1 / (1 + np.maximum(np.bincount(later, forth, m)[later] - forth, 0))
        change = float(np.abs(after - back).max(initial=0))
        back = after
        if change < TOLERANCE:
            break
    claim = odds * back
    return claim / (1 + np.bincount(source, claim, n)[source]), back


def marginals(log_odds: Floats, source: Ints, later: Ints, messages: Floats | None = None) -> Floats:
    """Return the marginal probability of P pairs, exact but for pairs that hardly anything speaks for.

    Parameters
    ----------
    log_odds, source, later, messages
        As for `propagated`.

    Examples
    --------
    Two cells and two somata; the straight pairing is 4 times as likely as the crossed one.

    >>> rows, columns = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    >>> marginals(8 + np.log([2.0, 1, 1, 2]), rows, columns).round(2)
    array([0.8, 0.2, 0.2, 0.8])
    """
    log_odds = np.minimum(log_odds, MOST_LOG_ODDS)
    probability, _ = propagated(log_odds, source, later, messages)
    bound = np.flatnonzero(_binding(log_odds, source, later))
    if not len(bound):
        return probability
    rows, row = np.unique(source[bound], return_inverse=True)
    columns, column = np.unique(later[bound], return_inverse=True)
    n, m = len(rows), len(columns)
    graph = coo_array((np.ones(len(bound)), (row, n + column)), shape=(n + m, n + m)).tocsr()
    count, label = connected_components(graph, directed=False)
    cyclic = np.bincount(label[row], minlength=count) >= np.bincount(label, minlength=count)
    order = np.empty(n, dtype=np.int64)
    band = coo_array((np.ones(len(bound)), (row, column)), shape=(n, m)).tocsr()
    order[reverse_cuthill_mckee((band @ band.T).tocsr(), symmetric_mode=True)] = np.arange(n)
    within = np.flatnonzero(cyclic[label[row]])
    within = within[np.lexsort((order[row[within]], label[row[within]]))]
    for part in np.split(within, np.flatnonzero(np.diff(label[row[within]])) + 1):
        pairs = bound[part]
        if len(pairs):
            swept = _swept(log_odds[pairs], source[pairs], later[pairs])
            probability[pairs] = (
                _around_each(log_odds[pairs], source[pairs], later[pairs]) if swept is None else swept
            )
    return probability


def _binding(log_odds: Floats, source: Ints, later: Ints) -> npt.NDArray[np.bool_]:
    behind = np.full(len(log_odds), np.inf)
    for of in (source, later):
        best = np.full(int(of.max(initial=-1)) + 1, -np.inf)
        np.maximum.at(best, of, log_odds)
        behind = np.minimum(behind, best[of] - log_odds)
    return np.asarray((log_odds > LEAST_LOG_ODDS) & (behind < -LEAST_OF_BEST))


def _swept(log_odds: Floats, source: Ints, later: Ints) -> Floats | None:
    """Return the marginals of one component, whose pairs stand source by source; None if it is too wide.

    The sweep goes from source to source and carries the weight of every set of taken somata that matters to
    sources still to come, a bit each.
    """
    weights: list[float] = np.exp(log_odds).tolist()
    bits = [1 << int(bit) for bit in np.unique(later, return_inverse=True)[1]]
    starts = [0, *(np.flatnonzero(np.diff(source)) + 1).tolist(), len(source)]
    last = {bit: step for step in range(len(starts) - 1) for bit in bits[starts[step] : starts[step + 1]]}
    steps = [
        (range(first, end), ~sum({bit for bit in bits[first:end] if last[bit] == step}))
        for step, (first, end) in enumerate(pairwise(starts))
    ]
    states, before = {0: 1.0}, []
    for options, open_bits in steps:
        before.append(states)
        after: dict[int, float] = {}
        for taken, weight in states.items():
            after[taken & open_bits] = after.get(taken & open_bits, 0.0) + weight
            for pair in options:
                if not taken & bits[pair]:
                    then = (taken | bits[pair]) & open_bits
                    after[then] = after.get(then, 0.0) + weight * weights[pair]
        if len(after) > MOST_STATES:
            return None
        most = max(after.values())
        states = {taken: weight / most for taken, weight in after.items()}
    out = np.zeros(len(weights))
    behind = {0: 1.0}
    for (options, open_bits), states in zip(reversed(steps), reversed(before), strict=True):
        total, here = 0.0, {}
        for taken, weight in states.items():
            sum_behind = behind[taken & open_bits]
            for pair in options:
                if not taken & bits[pair]:
                    value = weights[pair] * behind[(taken | bits[pair]) & open_bits]
                    out[pair] += weight * value
                    sum_behind += value
            here[taken] = sum_behind
            total += weight * sum_behind
        out[options.start : options.stop] /= total
        most = max(here.values())
        behind = {taken: value / most for taken, value in here.items()}
    return out


def _around_each(log_odds: Floats, source: Ints, later: Ints) -> Floats:
    """Return the marginals of a wide component: each source is swept with its strongest rivals.

    What all others claim of their somata is taken from belief propagation.
    """
    _, back = propagated(log_odds, source, later)
    claim = np.exp(log_odds) * back
    forth = np.exp(log_odds) / (1 + np.maximum(np.bincount(source, claim)[source] - claim, 0))
    claimed = np.bincount(later, forth)
    of_source, of_later = _grouped(source), _grouped(later)
    out = np.zeros(len(log_odds))
    for unit, own in of_source.items():
        strength: dict[int, float] = {}
        for pair in own:
            for rival in of_later[later[pair]]:
                both = min(log_odds[pair], log_odds[rival])
                strength[source[rival]] = max(both, strength.get(source[rival], -np.inf))
        strength[unit] = np.inf
        nearest = sorted(strength, key=lambda one: (-strength[one], one))[:RIVALS]
        swept = None
        while swept is None:  # one source alone is never too wide
            pairs = np.concatenate([of_source[one] for one in nearest])
            columns, column = np.unique(later[pairs], return_inverse=True)
            outside = np.maximum(claimed[columns] - np.bincount(column, forth[pairs]), 0)
            swept = _swept(log_odds[pairs] - np.log1p(outside)[column], source[pairs], later[pairs])
            nearest.pop()
        out[own] = swept[: len(own)]
    return out


def _grouped(units: Ints) -> dict[int, Ints]:
    """Return the rows of each unit."""
    order = np.argsort(units, kind="stable")
    found, start = np.unique(units[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, start[1:]), strict=True))

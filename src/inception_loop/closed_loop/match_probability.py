"""How probable each pairing of two days' somata is: a mixture of cells found again and of other cells.

The model. Of the source cells a share ``presence`` is found again; its offset is Gaussian about a common one,
with a lateral and an axial s.d. Of the later scan's somata a share ``new`` is none of the source cells; their
density is that share of the local density. Each source cell is found at most once, each soma is at most one
cell, so a neighbour that its own source cell explains competes less. Where both days showed the same images,
the correlation of a pair's answers has one distribution for the same cell and another for two cells, both
depending on how reliable the answers of the two units are. All of this is estimated from the candidate
pairs themselves by expectation–maximisation; nobody says which pairs are right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from inception_loop.closed_loop.candidate_pairs import CandidatePairs
from inception_loop.closed_loop.pairing_marginals import marginals, propagated

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRIOR_UNITS = 5.0
"""Weight of what is assumed before any data, in units: it decides only where there are hardly any."""
PRIOR_PRESENCE, PRIOR_NEW, PRIOR_SD_UM = 0.9, 0.1, 3.0
LEAST_VARIANCE_UM2 = 0.01
MOST_LOG_RATIO = 6.0  # no correlation of answers alone speaks more than e^6 to 1
ROUNDS, TOLERANCE = 200, 1e-4


@dataclass(frozen=True)
class TuningLaw:
    """Distribution of ``z = atanh(correlation)`` given the correlation ``tanh(x)`` that reliability allows.

    Gaussian with mean ``slope · x`` and variance ``variance + spread · x²``.
    """

    slope: float
    variance: float
    spread: float

    def log_density(self, z: Floats, x: Floats) -> Floats:
        """Return the log density of each z at its x."""
        variance = self.variance + self.spread * x**2
        return np.asarray(
            -0.5 * ((z - self.slope * x) ** 2 / variance + np.log(2 * np.pi * variance)), dtype=np.float64
        )

    def fitted(self, z: Floats, x: Floats, weight: Floats, prior: TuningLaw) -> TuningLaw:
        """Return one step towards the law that fits weighted pairs best."""
        z = np.concatenate([z, [0.0, prior.slope]])
        x = np.concatenate([x, [0.0, 1.0]])
        weight = np.concatenate([weight, [PRIOR_UNITS, PRIOR_UNITS]])
        per_variance = weight / (self.variance + self.spread * x**2)
        slope = float((per_variance * x * z).sum() / (per_variance * x**2).sum())
        square = (z - slope * x) ** 2
        square[-2:] = prior.variance, prior.variance + prior.spread
        per_square = weight / (self.variance + self.spread * x**2) ** 2
        one, two, four = (float((per_square * x**power).sum()) for power in (0, 2, 4))
        of_one, of_two = (float((per_square * square * x**power).sum()) for power in (0, 2))
        spread = max((one * of_two - two * of_one) / (one * four - two**2), 0.0)
        return TuningLaw(slope, max((of_one - two * spread) / one, prior.variance / 2), spread)


@dataclass(frozen=True)
class Likeness:
    """How alike the answers of P candidate pairs are to images that both days showed.

    Attributes
    ----------
    correlation : (P,), Pearson over images of repeat-averaged responses; NaN where not known
    attainable : (P,), correlation expected of one and the same cell, from the reliability of both units
    n_images : images shared
    """

    correlation: Floats
    attainable: Floats
    n_images: int


@dataclass(frozen=True)
class MatchModel:
    """What was estimated.

    Attributes
    ----------
    offset_um : (3,), common offset between the days, µm
    lateral_sd_um, axial_sd_um : s.d. per axis about it that all stacks share, µm
    presence : share of source cells found again, of those whose neighbourhood was imaged again
    new : share of the later somata that are none of the source cells, likewise
    same, other : laws of the tuning similarity; None without shared images
    rounds : of expectation–maximisation
    converged : whether these were enough
    """

    offset_um: Floats
    lateral_sd_um: float
    axial_sd_um: float
    presence: float
    new: float
    same: TuningLaw | None
    other: TuningLaw | None
    rounds: int
    converged: bool

    def numbers(self) -> Floats:
        """Return the estimates in one vector, to see whether they still change."""
        laws = [law for law in (self.same, self.other) if law is not None]
        return np.array(
            [*self.offset_um, math.log(self.lateral_sd_um), math.log(self.axial_sd_um)]
            + [self.presence, self.new]
            + [value for law in laws for value in (law.slope, law.variance, law.spread)]
        )


@dataclass(frozen=True)
class MatchProbability:
    """Log odds and probabilities of P candidate pairs.

    Attributes
    ----------
    model : MatchModel
    log_odds : (P,), log of how much likelier the two somata are one cell than a missing and a new one
    probability : (P,), that they are one cell, all rivals of both considered
    """

    model: MatchModel
    log_odds: Floats
    probability: Floats


def match_probability(pairs: CandidatePairs, likeness: Likeness | None = None) -> MatchProbability:
    """Estimate the model from the candidate pairs, and from it the probability of each pair.

    Parameters
    ----------
    pairs
        The candidates.
    likeness
        Of their answers; None: places alone decide.

    Examples
    --------
    Sixty cells 20 µm apart move by 2 µm; every tenth is missing.

    >>> import polars as pl
    >>> from inception_loop.closed_loop.candidate_pairs import candidate_pairs
    >>> rng = np.random.default_rng(0)
    >>> places = np.stack([20.0 * (np.arange(60) % 10), 20.0 * (np.arange(60) // 10), np.zeros(60)], axis=1)
    >>> def table(xyz, ids):
    ...     frame = pl.DataFrame(xyz, schema=["stack_x", "stack_y", "stack_z"])
    ...     one = [pl.lit(1).alias(name) for name in ("stack_session", "stack_idx")]
    ...     return frame.with_columns(pl.Series("unit_id", ids), *one)
    >>> ids = np.arange(60)
    >>> later = table((places + rng.normal(0, 2, places.shape))[6:], ids[6:])
    >>> pairs = candidate_pairs(ids, table(places, ids), ids[6:], later)
    >>> found = match_probability(pairs)
    >>> right = ids[pairs.source] == ids[6:][pairs.later]
    >>> bool(found.probability[right].min() > 0.95), bool(found.probability[~right].max() < 0.05)
    (True, True)
    """
    used = None if likeness is None or not np.isfinite(likeness.correlation).any() else likeness
    model = _first_guess(pairs, used)
    messages = np.ones(len(pairs.source))
    for rounds in range(1, ROUNDS + 1):
        log_odds = _log_odds(pairs, used, model)
        probability, messages = propagated(log_odds, pairs.source, pairs.later, messages)
        better = _maximise(pairs, used, model, probability, rounds)
        settled = bool(np.abs(better.numbers() - model.numbers()).max() < TOLERANCE)
        model = better
        if settled:
            break
    log_odds = _log_odds(pairs, used, model)
    return MatchProbability(model, log_odds, marginals(log_odds, pairs.source, pairs.later, messages))


def one_to_one(log_odds: Floats, pairs: CandidatePairs) -> npt.NDArray[np.bool_]:
    """Return which pairs (P,) the likeliest one-to-one pairing consists of: the largest sum of log odds.

    The assignment of ``scipy.optimize.linear_sum_assignment``, on the sparse candidates: a pair with odds
    below 1 is never better than leaving both alone, and who is left alone takes a place of his own.
    """
    chosen = np.zeros(len(log_odds), dtype=np.bool_)
    worth = np.flatnonzero(log_odds > 0)
    if not len(worth):
        return chosen
    rows, row = np.unique(pairs.source[worth], return_inverse=True)
    columns, column = np.unique(pairs.later[worth], return_inverse=True)
    n, m = len(rows), len(columns)
    alone = float(log_odds[worth].max()) + 1.0
    costs = np.concatenate([alone - log_odds[worth], np.full(n, alone)])
    at = (np.concatenate([row, np.arange(n)]), np.concatenate([column, m + np.arange(n)]))
    matched_row, matched_column = min_weight_full_bipartite_matching(
        coo_array((costs, at), shape=(n, m + n)).tocsr()
    )
    of_row = np.full(n, -1)
    of_row[matched_row] = matched_column
    chosen[worth] = of_row[row] == column
    return chosen


def _first_guess(pairs: CandidatePairs, likeness: Likeness | None) -> MatchModel:
    """Start from the pairs that are each other's nearest."""
    distance = np.linalg.norm(pairs.offset_um, axis=1)
    mutual = _nearest(distance, pairs.source) & _nearest(distance, pairs.later)
    square = np.append(distance[mutual] ** 2, 2.366 * PRIOR_SD_UM**2)
    sd = max(math.sqrt(float(np.median(square)) / 2.366), math.sqrt(LEAST_VARIANCE_UM2))  # χ² of 3, median
    same, other = (None, None) if likeness is None else _prior_laws(likeness)
    return MatchModel(np.zeros(3), sd, sd, PRIOR_PRESENCE, PRIOR_NEW, same, other, 0, False)


def _nearest(distance: Floats, of: Ints) -> npt.NDArray[np.bool_]:
    least = np.full(int(of.max(initial=-1)) + 1, np.inf)
    np.minimum.at(least, of, distance)
    return np.asarray(distance == least[of])


def _prior_laws(likeness: Likeness) -> tuple[TuningLaw, TuningLaw]:
    """Return what sampling error alone makes of stable cells, and of cells with nothing in common."""
    sampling = 1 / max(likeness.n_images - 3, 1)
    return TuningLaw(1.0, sampling, 0.05), TuningLaw(0.0, sampling, 0.2)


def _log_odds(pairs: CandidatePairs, likeness: Likeness | None, model: MatchModel) -> Floats:
    registration = pairs.stack_variance_um2 / pairs.n_stacks
    lateral = model.lateral_sd_um**2 + registration
    axial = model.axial_sd_um**2 + registration
    square = (pairs.offset_um - model.offset_um) ** 2
    place = -0.5 * (
        (square[:, 0] + square[:, 1]) / lateral
        + square[:, 2] / axial
        + 2 * np.log(lateral)
        + np.log(axial)
        + 3 * math.log(2 * math.pi)
    )
    elsewhere = np.log(model.new * pairs.density[pairs.later])
    out = math.log(model.presence / (1 - model.presence)) + place - elsewhere
    if likeness is not None and model.same is not None and model.other is not None:
        known, z, x = _in_z(likeness)
        ratio = model.same.log_density(z, x) - model.other.log_density(z, x)
        out[known] += np.clip(ratio, -MOST_LOG_RATIO, MOST_LOG_RATIO)
    return np.asarray(out, dtype=np.float64)


def _in_z(likeness: Likeness) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    known = np.isfinite(likeness.correlation)
    z = np.arctanh(np.clip(likeness.correlation[known], -0.999, 0.999))
    return known, z, np.arctanh(np.clip(likeness.attainable[known], 0, 0.98))


def _weighted(p: Floats, values: Floats) -> Floats:
    """Return the sum over pairs; not by BLAS, whose last digits depend on the number of threads."""
    return np.asarray((p[:, None] * values).sum(axis=0), dtype=np.float64)


def _maximise(
    pairs: CandidatePairs, likeness: Likeness | None, model: MatchModel, p: Floats, rounds: int
) -> MatchModel:
    """Return the estimates that fit best if each pair is right with its present probability."""
    found, prior = float(p.sum()), PRIOR_UNITS
    offset = _weighted(p, pairs.offset_um) / (found + prior)
    square = _weighted(p, (pairs.offset_um - offset) ** 2)
    registration = pairs.stack_variance_um2 * float((p / pairs.n_stacks).sum())
    lateral = ((square[0] + square[1]) / 2 - registration + prior * PRIOR_SD_UM**2) / (found + prior)
    axial = (square[2] - registration + prior * PRIOR_SD_UM**2) / (found + prior)
    n, m = int(pairs.source_covered.sum()), int(pairs.later_covered.sum())
    same, other = model.same, model.other
    if likeness is not None and same is not None and other is not None:
        known, z, x = _in_z(likeness)
        priors = _prior_laws(likeness)
        same = same.fitted(z, x, p[known], priors[0])
        other = other.fitted(z, x, 1 - p[known], priors[1])
    return MatchModel(
        offset_um=offset,
        lateral_sd_um=math.sqrt(max(float(lateral), LEAST_VARIANCE_UM2)),
        axial_sd_um=math.sqrt(max(float(axial), LEAST_VARIANCE_UM2)),
        presence=min((found + prior * PRIOR_PRESENCE) / (n + prior), 1 - 1e-6),
        new=max((m - found + prior * PRIOR_NEW) / (m + prior), 1e-6),
        same=same,
        other=other,
        rounds=rounds,
        converged=rounds < ROUNDS,
    )

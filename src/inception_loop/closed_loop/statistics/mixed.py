"""A mixed model of several animals: units within animals, animals around a common mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from inception_loop.closed_loop.statistics.bootstrap import animal_means
from inception_loop.closed_loop.statistics.values import Floats, finite_vector
from inception_loop.errors import DataError

ABOUT = (
    "the mean over animals like these; animals with more units weigh more where animals differ little; what "
    "the animals share (the rig, the analysis) is not in it"
)


@dataclass(frozen=True)
class MixedModel:
    """difference = mean + animal + unit, the animals and the units normal.

    Attributes
    ----------
    value, error : mean over animals and its standard error, in the unit of the differences
    lower, upper : 95 % interval, Student's t with animals − 1 degrees of freedom
    p_value : of the mean being 0, two-sided, by the same t
    between_animals, between_units : variances, in the squared unit; that between units holds the noise of
        their trials
    n_animals, n_units : animals; units of all of them
    boundary : whether the variance between animals is estimated as 0: the data do not show that animals
        differ, which few animals rarely can
    about : what the mean and its interval speak of
    """

    value: float
    error: float
    lower: float
    upper: float
    p_value: float
    between_animals: float
    between_units: float
    n_animals: int
    n_units: int
    boundary: bool
    about: str = ABOUT


@dataclass(frozen=True)
class _Groups:
    sizes: Floats
    means: Floats
    within: float

    def weights(self, ratio: float) -> Floats:
        return self.sizes / (1.0 + ratio * self.sizes)

    def fit(self, ratio: float) -> tuple[float, float, float]:
        """Return mean, unit variance and −2 × restricted log-likelihood for a ratio of the variances."""
        weights = self.weights(ratio)
        mean = float(np.average(self.means, weights=weights))
        squares = self.within + float(weights @ (self.means - mean) ** 2)
        freedom = float(self.sizes.sum()) - 1.0
        penalty = float(np.log1p(ratio * self.sizes).sum() + np.log(weights.sum()))
        return mean, squares / freedom, freedom * float(np.log(squares)) + penalty


def mixed_model(differences: npt.ArrayLike, animals: npt.ArrayLike) -> MixedModel:
    """Fit difference = mean + animal + unit by restricted maximum likelihood.

    With one grouping and no covariate the restricted likelihood is a function of one number, the ratio of
    the two variances, and is maximised as such: exact at its boundary too, where no variance between animals
    is seen. General programs fail there: statsmodels' ``MixedLM`` agrees elsewhere, but ends with warnings or
    a singular matrix in a quarter of loops of 5 to 12 animals (``benchmarks/loop_statistics.py``). The mean
    is judged by Student's t with animals − 1 degrees of freedom: by the normal distribution the interval
    would hold the truth in 89 to 90 % of such loops, by t it does in 95 %, in 92 % if the animals' means are
    skewed and in 99 % if animals do not differ.

    Assumes normal animals, units that vary alike in all of them, and independent units within an animal.
    For this it is narrower than the bootstrap over animals, by a third with 5 of them.

    Parameters
    ----------
    differences
        (n,) own − control, one a unit.
    animals
        (n,) the animal of each unit.

    Raises
    ------
    DataError
        If there are fewer than 5 animals, no animal has two units, a difference is not finite, or the units
        of no animal differ.

    Examples
    --------
    >>> rng = np.random.default_rng(4)
    >>> animals = np.repeat(np.arange(6), 20)
    >>> found = mixed_model(0.5 + 0.2 * rng.normal(size=6)[animals] + 0.4 * rng.normal(size=120), animals)
    >>> found.lower < 0.5 < found.upper, found.n_animals, found.n_units
    (True, 6, 120)
    """
    values = finite_vector(differences, "differences", least=2)
    groups = _groups(values, animals)
    ratio = _ratio(groups)
    mean, unit_variance, _ = groups.fit(ratio)
    error = float(np.sqrt(unit_variance / groups.weights(ratio).sum()))
    freedom = groups.sizes.size - 1
    half = float(scipy.stats.t.ppf(0.975, freedom)) * error
    return MixedModel(
        value=mean,
        error=error,
        lower=mean - half,
        upper=mean + half,
        p_value=2 * float(scipy.stats.t.sf(abs(mean) / error, freedom)),
        between_animals=ratio * unit_variance,
        between_units=unit_variance,
        n_animals=groups.sizes.size,
        n_units=values.size,
        boundary=ratio == 0.0,
    )


def _groups(values: Floats, animals: npt.ArrayLike) -> _Groups:
    means = animal_means(values, animals)
    _, place, sizes = np.unique(np.asarray(animals), return_inverse=True, return_counts=True)
    if sizes.max() < 2:
        raise DataError(
            f"each of the {sizes.size} animals has one unit: how units differ cannot be told from how "
            "animals differ; expected two units in at least one animal; take the interval over animals"
        )
    within = float(((values - means[place]) ** 2).sum())
    if within <= 1e-20 * float((values**2).sum()):
        raise DataError(
            "the units of each animal have the same difference: the variance between units is zero; expected "
            "units that differ; look at the responses that they come from"
        )
    return _Groups(sizes.astype(np.float64), means, within)


def _ratio(groups: _Groups) -> float:
    """Return the variance between animals over that between units, 0 where that is likeliest."""

    def ratio(share: float) -> float:
        return share / (1.0 - share) / float(groups.sizes.mean())

    def cost(share: float) -> float:
        return groups.fit(ratio(share))[2]

    shares = np.linspace(0.0, 0.999_999, 64)
    best = int(np.argmin([cost(share) for share in shares]))
    ends = (shares[max(best - 1, 0)], shares[min(best + 1, 63)])
    found = scipy.optimize.minimize_scalar(cost, bounds=ends, method="bounded", options={"xatol": 1e-10})
    return ratio(float(found.x)) if found.fun < cost(0.0) - 1e-9 else 0.0

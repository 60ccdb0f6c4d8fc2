"""Every unit of a member: how it answers, how reliably, whether it leaks or drifts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.oracle import jackknife_oracle
from inception_loop.dataset.unit_columns import unit_columns
from inception_loop.quality.member import Member
from inception_loop.quality.responses import leakage, thirds_change, unit_statistics

Floats = npt.NDArray[np.float64]

LEAST_TRIALS = 60
"""A change over the session is not asked of fewer."""
LEAST_ORACLE_IMAGES = 2
"""With one image alone the mean of all repeats is the same, and the oracle is −1 by construction."""
HISTOGRAM_STEP = 0.05


def unit_table(member: Member, lags: Floats, repeats: int) -> pl.DataFrame:
    """Describe the units of a member.

    Parameters
    ----------
    member
    lags : (lags, N) float64
        See `lag_correlations`.
    repeats
        Test images with fewer used trials do not count for the oracle, as in the selection of units.

    Returns
    -------
    Columns of the table ``units`` of a report, and ``brain_area, layer, size`` (mean absolute response).
    """
    found = unit_statistics(member.responses)
    drift = np.full(found["size"].size, np.nan)
    if member.responses.shape[0] >= LEAST_TRIALS:
        change = np.concatenate([thirds_change(block) for _, block in unit_columns(member.responses)])
        np.divide(change, found["size"], out=drift, where=found["size"] > 0)
    table = member.units.select(
        "neuron_id",
        "unit_id",
        silent=pl.Series(found.pop("silent") == 1),
        **{name: pl.Series(found[name]) for name in ("mean", "std", "zero_share", "sparseness")},
        drift=pl.Series(drift),
        leakage=pl.Series(leakage(lags)),
        oracle=pl.Series(_oracle(member, repeats)),
        brain_area="brain_area",
        layer="layer",
        size=pl.Series(found["size"]),
    )
    return table.with_columns(pl.col("sparseness", "drift", "leakage", "oracle").fill_nan(None))


def repeated_trials(member: Member, repeats: int) -> pl.DataFrame:
    """Return the used trials of test images that were used at least so often."""
    test = member.trials.filter((pl.col("tier") == "test") & pl.col("used"))
    return test.filter(pl.len().over("condition_hash") >= repeats)


def _oracle(member: Member, repeats: int) -> Floats:
    test = repeated_trials(member, repeats)
    if test["condition_hash"].n_unique() < LEAST_ORACLE_IMAGES:
        return np.full(member.responses.shape[1], np.nan)
    image = test["condition_hash"].rank("dense").cast(pl.Int64).to_numpy()
    return jackknife_oracle(member.responses[test["response_row"].to_numpy()], image)


def place_table(units: pl.DataFrame) -> pl.DataFrame:
    """Count the units of each area and layer, and the silent ones among them."""
    counts = (pl.len().alias("n_units"), pl.col("silent").sum().alias("n_silent"))
    table = units.group_by("brain_area", "layer").agg(counts).sort("brain_area", "layer")
    return table.cast({"n_units": pl.Int64, "n_silent": pl.Int64})


def histogram(values: pl.Series) -> pl.DataFrame:
    """Count values in bins of 0.05 from the lowest to the highest that is occupied.

    Examples
    --------
    >>> histogram(pl.Series([0.01, 0.02, 0.12, None])).rows()
    [(0.0, 0.05, 2), (0.05, 0.1, 0), (0.1, 0.15, 1)]
    """
    bins = (values.drop_nulls().to_numpy() / HISTOGRAM_STEP + 1e-9).clip(-20, 19.5)
    places = np.floor(bins).astype(np.int64)
    if places.size == 0:
        return pl.DataFrame(schema={"low": pl.Float64, "high": pl.Float64, "n": pl.Int64})
    edges = np.arange(places.min(), places.max() + 2)
    at = (edges * HISTOGRAM_STEP).round(9)
    counts = np.bincount(places - places.min(), minlength=edges.size - 1).astype(np.int64)
    return pl.DataFrame({"low": at[:-1], "high": at[1:], "n": counts})

"""Each unit on its own: its trials of the own image against its trials of the control image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from inception_loop.closed_loop.statistics.labels import Blocks, own_trials, permutation_p, splits, welch_p
from inception_loop.closed_loop.statistics.values import Floats
from inception_loop.errors import DataError

IMAGES = ("own", "control")

SCHEMA = {
    "unit_id": pl.Int64,
    "n_own": pl.Int64,
    "n_control": pl.Int64,
    "own_mean": pl.Float64,
    "control_mean": pl.Float64,
    "difference": pl.Float64,
    "sem": pl.Float64,
    "t": pl.Float64,
    "p_value": pl.Float64,
    "q_value": pl.Float64,
    "p_smallest": pl.Float64,
    "method": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True)
class _Unit:
    unit_id: int
    responses: Floats
    """Of block after block, own trials first."""
    blocks: Blocks


def unit_tests(
    trials: pl.DataFrame,
    *,
    method: Literal["permutation", "welch"] = "permutation",
    within: Sequence[str] = (),
    n_permutations: int = 9_999,
    seed: int = 0,
) -> pl.DataFrame:
    """Test every unit's responses to its own image against those to its control image; two-sided.

    The permutation test exchanges the labels own and control among the unit's trials and compares Welch's t.
    It assumes that trials are exchangeable where the images do not differ: shown in random order, noise
    independent from trial to trial; it is exact then for any distribution of the noise, and close where only
    the variances differ (Janssen 1997). All splits of the labels are enumerated where they are no more than
    ``n_permutations + 1``; else p = (b + 1)/(B + 1). Units with the same numbers of trials share the labels
    drawn, so that a unit's p-value does not depend on who else is in the table. Welch's test assumes normal
    means, which few repeats of a skewed response are not.

    q-values are Benjamini and Hochberg's (1995) over all units that could be tested: of the units with
    q ≤ 0.05, 5 % are expected to be false, if the units are independent or depend on each other positively.
    With few repeats no p-value may be small enough to survive: ``p_smallest`` says what was possible.

    Parameters
    ----------
    trials
        Table ``unit_id``, ``image`` (``own`` or ``control``), ``response`` (any unit), one row a trial.
    method
        ``"permutation"`` or ``"welch"``.
    within
        Columns that name blocks of trials, such as the scan: labels are exchanged within a block only.
    n_permutations, seed
        Of the permutation test.

    Returns
    -------
    One row a unit, by id: ``unit_id, n_own, n_control`` (trials), ``own_mean, control_mean, difference`` and
    its ``sem`` (unit of the responses), ``t`` (Welch), ``p_value, q_value, p_smallest, method, reason``.
    Where a unit cannot be tested p and q are null and ``reason`` says why.

    Raises
    ------
    DataError
        If a column lacks, a response is missing or not finite, or an image is neither own nor control.

    Examples
    --------
    >>> own, control = [3.0, 2.5, 2.8, 3.3, 2.9], [1.0, 1.4, 0.6, 1.1, 0.9]
    >>> rows = unit_tests(trial_table([own, own], [control, [2.7, 2.9, 3.2, 2.6, 3.1]]))
    >>> rows.select(pl.col("unit_id", "p_value", "q_value").round(3)).rows()
    [(0, 0.008, 0.016), (1, 0.929, 0.929)]
    """
    if n_permutations < 1:
        raise DataError(f"{n_permutations} permutations were asked; expected at least 1")
    units = _units(_checked(trials, within), within)
    rows = [_described(unit) for unit in units]
    groups: dict[Blocks, list[int]] = {}
    for place, unit in enumerate(units):
        if rows[place]["reason"] is None:
            groups.setdefault(unit.blocks, []).append(place)
    for blocks, places in groups.items():
        responses = np.array([units[place].responses for place in places])
        if method == "welch":
            found = welch_p(responses, blocks)
        else:
            found = permutation_p(responses, blocks, n_permutations, seed)
        for place, p_value in zip(places, found.p_values, strict=True):
            rows[place] |= {"p_value": p_value, "p_smallest": found.p_smallest, "method": found.method}
    out = pl.DataFrame(rows, schema=SCHEMA)
    return out.with_columns(benjamini_hochberg(out["p_value"]).alias("q_value"))


def trial_table(
    own: Sequence[npt.ArrayLike], control: Sequence[npt.ArrayLike], unit_ids: Sequence[int] | None = None
) -> pl.DataFrame:
    """Return plain arrays as the table of trials that `unit_tests` takes.

    Parameters
    ----------
    own, control
        Each unit's responses, one a trial; units may have different numbers of trials.
    unit_ids
        By default 0, 1, 2, …

    Examples
    --------
    >>> trial_table([[1.0, 2.0]], [[0.5]]).rows()
    [(0, 'own', 1.0), (0, 'own', 2.0), (0, 'control', 0.5)]
    """
    ids = list(range(len(own))) if unit_ids is None else list(unit_ids)
    if not len(own) == len(control) == len(ids):
        raise DataError(
            f"own responses of {len(own)} units, control responses of {len(control)} and {len(ids)} unit "
            "ids; expected one each a unit"
        )
    parts = []
    for unit_id, *both in zip(ids, own, control, strict=True):
        for image, given in zip(IMAGES, both, strict=True):
            values = np.asarray(given, dtype=np.float64).ravel()
            names = {"unit_id": [unit_id] * values.size, "image": [image] * values.size}
            parts.append(pl.DataFrame({**names, "response": values}, schema=_TRIALS))
    return pl.concat(parts) if parts else pl.DataFrame(schema=_TRIALS)


_TRIALS = {"unit_id": pl.Int64, "image": pl.String, "response": pl.Float64}


def benjamini_hochberg(p_values: pl.Series) -> pl.Series:
    """Return the q-values of Benjamini & Hochberg (1995); a null p-value is no test and gets no q-value.

    Examples
    --------
    >>> benjamini_hochberg(pl.Series([0.01, None, 0.04])).to_list()
    [0.02, None, 0.04]
    """
    known = p_values.is_not_null()
    out = np.full(len(p_values), np.nan)
    if known.any():
        out[known.to_numpy()] = scipy.stats.false_discovery_control(p_values.drop_nulls().to_numpy())
    return pl.Series(p_values.name, out, dtype=pl.Float64, nan_to_null=True)


def _checked(trials: pl.DataFrame, within: Sequence[str]) -> pl.DataFrame:
    missing = sorted({"unit_id", "image", "response", *within} - set(trials.columns))
    if missing:
        raise DataError(f"the table of trials lacks {', '.join(missing)}; it has {', '.join(trials.columns)}")
    table = trials.with_columns(pl.col("response").cast(pl.Float64))
    bad = table.filter(pl.col("response").is_null() | ~pl.col("response").is_finite())
    if bad.height:
        raise DataError(
            f"{bad.height} of {table.height} responses are missing, NaN or infinite, first of unit "
            f"{bad['unit_id'][0]}; expected finite numbers; leave these trials out and say so"
        )
    strange = set(table["image"].unique().to_list()) - set(IMAGES)
    if strange:
        raise DataError(f"the images are called {sorted(map(str, strange))}; expected own or control")
    return table


def _units(trials: pl.DataFrame, within: Sequence[str]) -> list[_Unit]:
    ordered = trials.sort("unit_id", *within, pl.col("image") != "own", maintain_order=True)
    units = []
    for _, part in ordered.group_by("unit_id", maintain_order=True):
        keys = list(within) or ["unit_id"]
        counts = part.group_by(keys, maintain_order=True).agg(
            (pl.col("image") == "own").sum().alias("own"), (pl.col("image") != "own").sum().alias("control")
        )
        blocks = tuple(counts.select("own", "control").rows())
        units.append(_Unit(part["unit_id"][0], part["response"].to_numpy(), blocks))
    return units


def _described(unit: _Unit) -> dict[str, object]:
    shown = own_trials(unit.blocks)
    own, control = unit.responses[shown], unit.responses[~shown]
    row: dict[str, object] = {
        "unit_id": unit.unit_id,
        "n_own": own.size,
        "n_control": control.size,
        "own_mean": float(own.mean()) if own.size else None,
        "control_mean": float(control.mean()) if control.size else None,
        "reason": _reason(unit, own, control),
    }
    if not own.size or not control.size:
        return row
    row["difference"] = float(own.mean() - control.mean())
    if min(own.size, control.size) > 1:
        sem = float(np.sqrt(own.var(ddof=1) / own.size + control.var(ddof=1) / control.size))
        row |= {"sem": sem, "t": float(own.mean() - control.mean()) / sem if sem > 0 else None}
    return row


def _reason(unit: _Unit, own: Floats, control: Floats) -> str | None:
    for size, name in ((own.size, "own"), (control.size, "control")):
        if size < 2:
            return f"{size} trial of the {name} image: the variance is undefined; at least 2 are needed"
    spread = np.concatenate([own - own.mean(), control - control.mean()])
    if np.ptp(unit.responses) == 0:
        return f"all {unit.responses.size} responses are {unit.responses[0]:.6g}: zero variance"
    if not np.abs(spread).max() > 1e-12 * np.abs(unit.responses).max():
        return "the responses to each image do not vary: zero variance within images"
    if splits(unit.blocks) < 2:
        return "no block holds trials of both images: nothing can be exchanged"
    return None

"""How alike candidate pairs of two days answer the images that both days showed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.query import TableSource, query, sql_file
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.closed_loop.candidate_pairs import CandidatePairs
from inception_loop.closed_loop.match_probability import Likeness

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CHUNK = 2**16  # pairs at a time
FEWEST_IMAGES = 8
"""With fewer shared images a correlation says next to nothing, and places alone decide."""


@dataclass(frozen=True)
class ScanResponses:
    """Where one scan's responses are.

    Attributes
    ----------
    responses : table ``trial_idx``, ``condition_hash``, ``response`` (one vector a row)
    columns : table ``neuron_column``, ``unit_id``, what the vectors hold
    excluded : table with ``trial_idx`` of trials to leave out; None: of none
    """

    responses: TableSource
    columns: pl.DataFrame
    excluded: TableSource | None = None


@dataclass(frozen=True)
class Tuning:
    """Answers of N units to I images.

    Attributes
    ----------
    direction : (N, I) float32, repeat-averaged responses, mean 0, norm 1 over images; NaN: flat or no numbers
    reliability : (N,), correlation of the repeat average with what infinitely many repeats would give
    """

    direction: npt.NDArray[np.float32]
    reliability: Floats


def likeness(
    source: ScanResponses,
    later: ScanResponses,
    source_ids: Ints,
    later_ids: Ints,
    pairs: CandidatePairs,
    *,
    more_than_repeats: int = 4,
    store: ArtifactStore | None = None,
) -> Likeness | None:
    """Return how alike the answers of every candidate pair are; None if the scans share too few images.

    The correlation is that of `cell_match_oracle_correlation`, for the candidates only.

    Parameters
    ----------
    source, later
        The responses of both scans.
    source_ids, later_ids
        Unit numbers of the rows that the pairs speak of; those without responses are not known.
    pairs
        The candidates.
    more_than_repeats
        Only images with more repeats than this in both scans count.
    store
        Where the tables stand, if they are artifacts.
    """
    none = pl.DataFrame(schema={"trial_idx": pl.Int64})
    tables: dict[str, TableSource] = {"source_response": source.responses, "later_response": later.responses}
    for name, scan in (("source", source), ("later", later)):
        tables[f"{name}_excluded_trial"] = none if scan.excluded is None else scan.excluded
    parameters = {"more_than": more_than_repeats}
    shared = query(sql_file(__package__, "shared_image.sql"), tables, parameters, store)
    if shared.height < FEWEST_IMAGES:
        return None
    images = shared["condition_hash"].to_list()
    here = _of_units(_tuning(source, images, store), source.columns, source_ids)
    there = _of_units(_tuning(later, images, store), later.columns, later_ids)
    correlation = np.empty(len(pairs.source))
    for start in range(0, len(correlation), CHUNK):
        part = slice(start, start + CHUNK)
        one, other = here.direction[pairs.source[part]], there.direction[pairs.later[part]]
        correlation[part] = np.einsum("pi,pi->p", one, other, dtype=np.float64)
    attainable = here.reliability[pairs.source] * there.reliability[pairs.later]
    return Likeness(np.clip(correlation, -1, 1), attainable, len(images))


def _tuning(scan: ScanResponses, images: list[str], store: ArtifactStore | None) -> Tuning:
    excluded = pl.DataFrame(schema={"trial_idx": pl.Int64}) if scan.excluded is None else scan.excluded
    tables: dict[str, TableSource] = {"response": scan.responses, "excluded_trial": excluded}
    rows = query(sql_file(__package__, "shared_image_response.sql"), tables, {"shared": images}, store)
    width = scan.columns.height
    values = rows["response"].list.to_array(width).to_numpy()
    start = np.flatnonzero(np.diff(rows["condition_hash"].rank("dense").to_numpy(), prepend=0))
    return tuning_of(values, start.astype(np.int64))


def tuning_of(values: npt.NDArray[np.floating], start: Ints) -> Tuning:
    """Return the tuning of N units from trials that are sorted by image.

    Parameters
    ----------
    values
        (T, N) responses.
    start
        (I,) first row of each image; each has at least two.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = np.repeat(rng.normal(size=(900, 1)), 4, axis=0)
    >>> noisy = signal + rng.normal(size=(3600, 1))  # reliability √(1/(1 + 1/4)) = 0.894
    >>> tuning_of(noisy, 4 * np.arange(900)).reliability.round(1)
    array([0.9])
    """
    repeats = np.diff(start, append=len(values)).astype(np.float64)
    pilot = values[:1]  # sums are taken about a value near the mean, so that a large offset costs no digits
    shape = (len(start), values.shape[1])
    mean, within = np.empty(shape), np.zeros(shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0: the unit answers all images alike
        for image, (first, n) in enumerate(zip(start, repeats, strict=True)):
            block = (values[first : first + int(n)] - pilot).astype(np.float64)
            mean[image] = block.mean(axis=0)
            within += block.var(axis=0, ddof=1) / len(start)
        mean -= mean.mean(axis=0)
        norm = np.sqrt((mean**2).sum(axis=0))
        of_means = norm**2 / max(len(start) - 1, 1)
        direction = (mean / norm).T.astype(np.float32)
        reliability = np.sqrt(np.clip(1 - within * (1 / repeats).mean() / of_means, 0, 1))
    return Tuning(np.ascontiguousarray(direction), reliability)


def _of_units(tuning: Tuning, columns: pl.DataFrame, ids: Ints) -> Tuning:
    """Return the tuning in the order of ``ids``; NaN for units without responses."""
    wanted = pl.DataFrame({"unit_id": ids}, schema={"unit_id": pl.Int64})
    row = wanted.join(
        columns.select("unit_id", pl.col("neuron_column").cast(pl.Int64)),
        on="unit_id",
        how="left",
        maintain_order="left",
    )["neuron_column"]
    known = row.is_not_null().to_numpy()
    at = row.fill_null(0).to_numpy()
    direction, reliability = tuning.direction[at], tuning.reliability[at]
    direction[~known], reliability[~known] = np.nan, np.nan
    return Tuning(direction, reliability)

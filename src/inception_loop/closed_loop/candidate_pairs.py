"""Which somata of two days may be one cell: pairs that lie near each other in the structural stacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STACK = ["stack_session", "stack_idx"]
PLACE = ["stack_x", "stack_y", "stack_z"]
NEAREST = 32
"""At most so many candidates a source unit and stack, the nearest: memory stays linear in the units."""
DENSITY_UM = (90.0, 3.0)
"""Lateral and axial half-axes of the ellipsoid in which somata are counted: scans see thin slabs."""


@dataclass(frozen=True)
class CandidatePairs:
    """P pairs of a source unit and a soma of the later scan.

    Attributes
    ----------
    source, later : (P,) int64, rows of the units, by source and then later
    offset_um : (P, 3), later minus source place, mean over the stacks that both are registered in, µm
    distance_um : (P,), mean over these stacks of the distance, µm
    n_stacks : (P,) int64, how many these are
    stack_variance_um2 : variance a stack and axis of the offset about its mean over stacks, µm²
    density : (m,), somata per µm³ about each unit of the later scan
    source_stacks : (n,) int64, common stacks that each source unit is registered in
    source_covered, later_covered : (n,), (m,) bool, whether the other day has any soma in the neighbourhood
    """

    source: Ints
    later: Ints
    offset_um: Floats
    distance_um: Floats
    n_stacks: Ints
    stack_variance_um2: float
    density: Floats
    source_stacks: Ints
    source_covered: npt.NDArray[np.bool_]
    later_covered: npt.NDArray[np.bool_]


def candidate_pairs(
    source_ids: Ints,
    source_coordinates: pl.DataFrame,
    later_ids: Ints,
    later_coordinates: pl.DataFrame,
    *,
    radius_um: float = 30.0,
) -> CandidatePairs:
    """Return all pairs nearer than a radius in the stacks that both units are registered in.

    Stacks differ by a rotation and a translation; these are fitted to the units they share, and places are
    compared in the axes of the first stack.

    Parameters
    ----------
    source_ids, later_ids
        (n,), (m,) unit numbers, each once.
    source_coordinates, later_coordinates
        Tables ``stack_session, stack_idx, unit_id`` and ``stack_x, stack_y, stack_z`` in µm.
    radius_um
        Largest length of the mean offset, µm.

    Examples
    --------
    >>> place = {"stack_session": 1, "stack_idx": 1, "stack_y": 0.0, "stack_z": 0.0}
    >>> source = pl.DataFrame([{"unit_id": u, "stack_x": x, **place} for u, x in ((1, 0.0), (2, 50.0))])
    >>> later = pl.DataFrame([{"unit_id": u, "stack_x": x, **place} for u, x in ((7, 3.0), (8, 46.0))])
    >>> ids = np.array([1, 2]), np.array([7, 8])
    >>> pairs = candidate_pairs(ids[0], source, ids[1], later)
    >>> pairs.source.tolist(), pairs.later.tolist(), pairs.offset_um[:, 0].tolist()
    ([0, 1], [0, 1], [3.0, -4.0])
    """
    stacks = (
        source_coordinates.select(STACK)
        .join(later_coordinates.select(STACK), on=STACK, how="semi")
        .unique()
        .sort(STACK)
    )
    source, later = (
        np.stack([np.full((len(ids), 3), np.nan)] + [_places(ids, table, key) for key in stacks.rows()])[1:]
        for ids, table in ((source_ids, source_coordinates), (later_ids, later_coordinates))
    )
    for k in range(1, len(source)):
        move = _Rigid(np.concatenate([source[k], later[k]]), np.concatenate([source[0], later[0]]))
        source[k], later[k] = move(source[k]), move(later[k])
    row, column = _near(source, later, radius_um)
    offsets = later[:, column] - source[:, row]
    known = ~np.isnan(offsets[..., 0])
    n_stacks = known.sum(axis=0)
    filled = np.where(known[..., None], offsets, 0.0)
    mean = filled.sum(axis=0) / np.maximum(n_stacks, 1)[:, None]
    distance = np.linalg.norm(filled, axis=2).sum(axis=0) / np.maximum(n_stacks, 1)
    scatter = float((np.where(known[..., None], offsets - mean, 0.0) ** 2).sum())
    freedom = 3 * int(np.maximum(n_stacks - 1, 0).sum())
    kept = np.linalg.norm(mean, axis=1) <= radius_um
    places = _mean_places(source), _mean_places(later)
    return CandidatePairs(
        source=row[kept],
        later=column[kept],
        offset_um=mean[kept],
        distance_um=distance[kept],
        n_stacks=n_stacks[kept],
        stack_variance_um2=scatter / freedom if freedom else 0.0,
        density=_density(places[1], places[0]),
        source_stacks=(~np.isnan(source[..., 0])).sum(axis=0).astype(np.int64),
        source_covered=_covered(places[0], places[1], 2 * radius_um),
        later_covered=_covered(places[1], places[0], 2 * radius_um),
    )


def _places(ids: Ints, coordinates: pl.DataFrame, key: tuple[int, ...]) -> Floats:
    """Return (n, 3) places in one stack, NaN where a unit is not registered in it."""
    one = coordinates.filter(*(pl.col(name) == value for name, value in zip(STACK, key, strict=True)))
    wanted = pl.DataFrame({"unit_id": ids}, schema={"unit_id": pl.Int64})
    one = one.unique("unit_id", keep="first", maintain_order=True).select(
        pl.col("unit_id").cast(pl.Int64), *(pl.col(name).cast(pl.Float64) for name in PLACE)
    )
    places: Floats = (
        wanted.join(one, on="unit_id", how="left", maintain_order="left")
        .select(pl.col(name).fill_null(float("nan")) for name in PLACE)
        .to_numpy(writable=True)
    )
    places[~np.isfinite(places).all(axis=1)] = np.nan
    return places


class _Rigid:
    """The rotation and translation that takes points nearest to others in the mean square (Kabsch 1976)."""

    def __init__(self, points: Floats, onto: Floats) -> None:
        both = ~np.isnan(points[:, 0] + onto[:, 0])
        self.turn, self.origin, self.target = np.eye(3), np.zeros(3), np.zeros(3)
        if both.sum() < 3:  # too few to fit: the axes are taken as they are
            return
        self.origin, self.target = points[both].mean(axis=0), onto[both].mean(axis=0)
        # einsum, not BLAS, whose last digits depend on the number of threads
        spread = np.einsum("ni,nj->ij", points[both] - self.origin, onto[both] - self.target)
        left, _, right = np.linalg.svd(spread)
        mirrored = np.sign(np.linalg.det(left @ right))
        self.turn = left @ np.diag([1.0, 1.0, mirrored]) @ right

    def __call__(self, points: Floats) -> Floats:
        turned = np.einsum("ni,ij->nj", points - self.origin, self.turn)
        return np.asarray(turned + self.target, dtype=np.float64)


def _near(source: Floats, later: Floats, radius: float) -> tuple[Ints, Ints]:
    """Return the pairs that are near in any stack, sorted, each once."""
    m = later.shape[1]
    keys = [np.zeros(0, dtype=np.int64)]
    for here, there in zip(source, later, strict=True):
        rows, columns = np.flatnonzero(~np.isnan(here[:, 0])), np.flatnonzero(~np.isnan(there[:, 0]))
        if not len(rows) or not len(columns):
            continue
        distance, found = scipy.spatial.KDTree(there[columns]).query(
            here[rows], k=np.arange(1, NEAREST + 1), distance_upper_bound=1.5 * radius
        )
        i, j = np.nonzero(np.isfinite(distance))
        keys.append(rows[i] * m + columns[found[i, j]])
    key = np.unique(np.concatenate(keys))
    return key // max(m, 1), key % max(m, 1)


def _mean_places(places: Floats) -> Floats:
    known = ~np.isnan(places)
    with np.errstate(invalid="ignore"):  # 0/0: registered in none
        return np.asarray(np.where(known, places, 0.0).sum(axis=0) / known.sum(axis=0), dtype=np.float64)


def _density(places: Floats, others: Floats) -> Floats:
    """Return the somata per µm³ about each one, itself not counted; never 0.

    Both days are counted and halved: it is the same tissue, and twice the somata tell its density better.
    """
    lateral, axial = DENSITY_UM
    scaled, there = (xyz / [lateral, lateral, axial] for xyz in (places, others))
    known = ~np.isnan(scaled[:, 0])
    tree = scipy.spatial.KDTree(np.concatenate([scaled[known], there[~np.isnan(there[:, 0])]]))
    count = np.zeros(len(places))
    if known.any():
        count[known] = tree.query_ball_point(scaled[known], 1.0, return_length=True) - 1
    return np.asarray((count + 1) / 2 / (4 / 3 * np.pi * lateral**2 * axial), dtype=np.float64)


def _covered(places: Floats, others: Floats, within: float) -> npt.NDArray[np.bool_]:
    known, there = ~np.isnan(places[:, 0]), ~np.isnan(others[:, 0])
    out = np.zeros(len(places), dtype=np.bool_)
    if known.any() and there.any():
        distance, _ = scipy.spatial.KDTree(others[there]).query(places[known], distance_upper_bound=within)
        out[known] = np.isfinite(distance)
    return out

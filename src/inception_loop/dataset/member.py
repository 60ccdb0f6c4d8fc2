"""One member of a dataset in memory: what a network is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.config import EVERY, CorrectedAreaLayer
from inception_loop.dataset.parts import by_member, read_used
from inception_loop.dataset.sampling import Floats
from inception_loop.errors import DataError

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MemberStatistics:
    """Statistics of a member over its normalising tier; std with ddof 1.

    Attributes
    ----------
    image_mean, image_std : grey levels
    response_mean, response_std : (N,) float64, unit of the traces
    behavior_mean, behavior_std : (3,) float64 (pupil px, dpupil px/s, treadmill cm/s), None without behaviour
    pupil_mean, pupil_std : (2,) float64 px (x, y), None without eye
    """

    image_mean: float
    image_std: float
    response_mean: Floats
    response_std: Floats
    behavior_mean: Floats | None
    behavior_std: Floats | None
    pupil_mean: Floats | None
    pupil_std: Floats | None


@dataclass(frozen=True)
class MemberData:
    """The used trials of one member, unnormalised, in order of presentation.

    Attributes
    ----------
    name : readout key
    frames : (K, H, W) float32, grey levels; memory-mapped where the store is on a local disk
    frame_row : (T,) int64, image of each trial
    responses : (T, N) float32, unit of the traces
    behavior : (T, 3) float32 pupil px, dpupil px/s, treadmill cm/s; None where not recorded
    pupil_center : (T, 2) float32 px of the eye camera (x, y); None where not recorded
    tier : (T,) str, train, validation or test
    condition_hash : (T,) str
    trial_idx : (T,) int64
    units : table ``name, neuron_id`` (column of ``responses``), ``unit_id, brain_area, layer, field, um_x,
        um_y, um_z, border_um``
    statistics : over the normalising tier
    """

    name: str
    frames: Singles
    frame_row: npt.NDArray[np.int64]
    responses: Singles
    behavior: Singles | None
    pupil_center: Singles | None
    tier: npt.NDArray[np.str_]
    condition_hash: npt.NDArray[np.str_]
    trial_idx: npt.NDArray[np.int64]
    units: pl.DataFrame
    statistics: MemberStatistics

    def trials_of(self, tier: str) -> npt.NDArray[np.int64]:
        """Rows of the trials of a tier."""
        return np.flatnonzero(self.tier == tier)


def member_names(store: ArtifactStore, dataset: ArtifactRef) -> list[str]:
    """Names of a dataset's members, in order.

    Raises
    ------
    DataError
        If the reference is no dataset's.
    """
    if dataset.kind != "static_multi_dataset":
        raise DataError(
            f"expected a static_multi_dataset, got a {dataset.kind} ({dataset}); make_dataset returns one"
        )
    return store.table(dataset, "members")["name"].to_list()


def load_member(
    store: ArtifactStore, dataset: ArtifactRef, name: str, data: CorrectedAreaLayer | None = None
) -> MemberData:
    """Load one member of a dataset.

    Of the responses only what is wanted is read, a piece at a time; images are mapped where the store is on a
    local disk.

    Parameters
    ----------
    dataset
        A ``static_multi_dataset``.
    name
        The member.
    data
        Restricts the units to an area and layer and numbers them anew (``neuron_id`` = column); by default
        all units are loaded. Nothing is normalised here, see `normalize`.

    Raises
    ------
    DataError
        If the dataset has no such member, the restriction leaves no unit, or ``data`` asks for other stimuli
        than images.
    """
    names = member_names(store, dataset)
    if name not in names:
        raise DataError(f"{dataset} has no member {name!r}; expected one of {', '.join(names)}")
    inputs = store.inputs(dataset)
    trials = store.table(dataset, "trials").filter(name=name)
    used = trials.filter("used")
    units = store.table(dataset, "units").filter(name=name)
    if data is not None:
        units = _wanted_units(units, name, data)
    columns = units["neuron_id"].to_numpy()
    values = read_used(store, by_member(inputs)[names.index(name)], trials, columns)
    statistics = _statistics(store.table(inputs["statistics"][0], "statistics").filter(name=name), columns)
    return MemberData(
        name=name,
        frames=values.frames,
        frame_row=values.frame_row,
        responses=values.responses,
        behavior=_imputed(values.behavior, statistics.behavior_mean),
        pupil_center=_imputed(values.pupil_center, statistics.pupil_mean),
        tier=used["tier"].to_numpy().astype(np.str_),
        condition_hash=used["condition_hash"].to_numpy().astype(np.str_),
        trial_idx=used["trial_idx"].to_numpy(),
        units=units.with_columns(neuron_id=pl.int_range(pl.len())),
        statistics=statistics,
    )


def _wanted_units(units: pl.DataFrame, name: str, data: CorrectedAreaLayer) -> pl.DataFrame:
    """Return the rows of a member's units in the wanted area and layer."""
    if data.stimulus_type != "stimulus.Frame":
        raise DataError(f"{name} holds still images only; expected stimulus_type 'stimulus.Frame'")
    areas = [data.brain_area] if isinstance(data.brain_area, str) else list(data.brain_area)
    wanted = pl.lit(EVERY in areas) | pl.col("brain_area").is_in(areas)
    if data.layer != EVERY:
        wanted &= pl.col("layer") == data.layer
    kept = units.filter(wanted)
    if kept.height == 0:
        have = units.group_by("brain_area", "layer").len().sort("brain_area", "layer").rows()
        places = ", ".join(f"{n} in {layer} of {area}" for area, layer, n in have)
        raise DataError(
            f"{name} has no unit in layer {data.layer!r} of area {', '.join(areas)!r}; "
            f"it has {places}; choose one of these or 'all'"
        )
    return kept


def _imputed(values: Floats | None, mean: Floats | None) -> Singles | None:
    if values is None or mean is None:
        return None
    return np.where(np.isnan(values), mean, values).astype(np.float32)


def _statistics(table: pl.DataFrame, columns: npt.NDArray[np.int64]) -> MemberStatistics:
    def column(what: str, name: str) -> Floats | None:
        values: Floats = table.filter(what=what).sort("index")[name].to_numpy()
        return values if values.size else None

    def known(what: str, name: str) -> Floats:
        values = column(what, name)
        if values is None:
            raise DataError(f"the statistics have no {what}; expected them of every member; make them anew")
        return values

    return MemberStatistics(
        image_mean=float(known("images", "mean")[0]),
        image_std=float(known("images", "std")[0]),
        response_mean=known("responses", "mean")[columns],
        response_std=known("responses", "std")[columns],
        behavior_mean=column("behavior", "mean"),
        behavior_std=column("behavior", "std"),
        pupil_mean=column("pupil_center", "mean"),
        pupil_std=column("pupil_center", "std"),
    )

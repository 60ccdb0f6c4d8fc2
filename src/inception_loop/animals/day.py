"""One day at the rig, for any animal: what it does, what it answers, what is recorded and what is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.animals import rig
from inception_loop.animals.behavior import BehaviorConfig, TrialBehavior
from inception_loop.animals.cells import HEIGHT, WIDTH
from inception_loop.animals.cortex import CortexConfig, Places, place_cells, stack_table, unit_tables
from inception_loop.animals.population import (
    Float32s,
    Floats,
    Moments,
    Population,
    add_noise,
    session_moments,
)
from inception_loop.animals.rig import RigConfig
from inception_loop.animals.session import Session
from inception_loop.animals.truth import PARAMETERS, TRUTH_COLUMNS, Truth
from inception_loop.errors import DataError
from inception_loop.pictures.natural import area_average
from inception_loop.recordings.recording import CONDITION_COLUMNS, Recording, ScanKey, Traces

ARTEFACT = 8.0  # a movement of the brain looks like this many times a cell's mean response


class BodyConfig(Protocol):
    """The parts of an animal's configuration that the rig needs."""

    @property
    def animal_id(self) -> int:
        """Number of the animal."""

    @property
    def seed(self) -> int:
        """Seed of everything about the animal."""

    @property
    def rig(self) -> RigConfig:
        """Clocks and faults."""

    @property
    def behavior(self) -> BehaviorConfig:
        """Pupil, gaze and running."""

    @property
    def cortex(self) -> CortexConfig:
        """Fields, stacks and later days."""


def day_scan(config: BodyConfig, day: int) -> ScanKey:
    """Return the scan key of a day: session ``day + 1``, scan 1."""
    return ScanKey(animal_id=config.animal_id, session=day + 1, scan_idx=1)


def seen_images(images: npt.NDArray[np.uint8]) -> Float32s:
    """Return what the animal sees: the exact area average to (K, 36, 64) float32 grey levels.

    Raises
    ------
    DataError
        If the images are not whole multiples of 36×64.
    """
    height, width = images.shape[1:]
    if height % HEIGHT or width % WIDTH or height // HEIGHT != width // WIDTH:
        raise DataError(
            f"the animal was shown images of {height}×{width} px; "
            f"expected a whole multiple of {HEIGHT}×{WIDTH}; resize them"
        )
    return area_average(images, HEIGHT, WIDTH)


def record_day(
    population: Population, config: BodyConfig, session: Session, day: int, scan: ScanKey | None = None
) -> tuple[Recording, Truth]:
    """Record one day of an animal.

    Parameters
    ----------
    population : Population
        The cells found on that day.
    config : configuration of the animal
    session : Session
    day : int
        0 is the first day.
    scan : ScanKey, optional
        By default session ``day + 1``, scan 1 of the animal.

    Returns
    -------
    Recording, Truth
    """
    streams = [np.random.default_rng([config.seed, day, 20 + i]) for i in range(7)]
    images = seen_images(session.images)
    timeline = rig.schedule(session, config.rig, streams[0])
    behavior = rig.watch(timeline, config.behavior, streams[1])
    rows = session.conditions["image_row"].to_numpy()[session.order]
    expected = population.expected(images, rows, behavior.trials)
    masks = _masks(population, config, day, streams[2])
    spoilt = rig.excluded(session, config.rig, streams[3])
    activity = _activity(add_noise(expected, population.fano, streams[4]), masks, spoilt, streams[3])
    units, fields = unit_tables(
        masks.places, masks.cell >= 0, masks.unit_id, config.cortex, 1 / config.rig.frame_hz, masks.offset
    )
    recording = Recording(
        scan=scan or day_scan(config, day),
        trace_kind="deconvolved",
        activity=Traces(
            rig.traces(activity, units["ms_delay"].to_numpy() / 1000, timeline, config.rig, streams[5]),
            timeline.frame_times,
            timeline.to_behavior(timeline.frame_times),
        ),
        trials=rig.trial_table(
            timeline, session.conditions["condition_hash"].gather(session.order).to_list()
        ),
        conditions=session.conditions.select(CONDITION_COLUMNS),
        images=session.images,
        units=units,
        fields=fields,
        eye=behavior.eye,
        treadmill=behavior.treadmill,
        stack_coordinates=stack_table(masks.places, masks.unit_id, config.cortex, config.seed, day),
        calibration=rig.calibrate(config.rig, day, streams[5]),
        excluded_trials=pl.DataFrame(
            {"trial_idx": spoilt, "reason": ["brain movement"] * len(spoilt)},
            schema={"trial_idx": pl.Int64, "reason": pl.String},
        ),
    )
    moments = session_moments(population, session, images, behavior.trials, streams[6])
    return recording, _truth(population, masks, session, expected, behavior.trials, moments)


@dataclass(frozen=True)
class _Masks:
    """Segmented masks of a scan, M of them: cells and others, in the order of the recording's rows."""

    places: Places
    cell: npt.NDArray[np.int64]  # (M,) row of the population, -1 for a mask that is no soma
    unit_id: npt.NDArray[np.int64]
    offset: Floats

    def cells_by_unit(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return unit ids of the somata, ascending, and the population's row of each."""
        soma = self.cell >= 0
        order = np.argsort(self.unit_id[soma])
        return self.unit_id[soma][order], self.cell[soma][order]


def _masks(population: Population, config: BodyConfig, day: int, rng: np.random.Generator) -> _Masks:
    n = len(population.cell_id)
    other = place_cells(round(config.cortex.other_masks * n), config.cortex, rng)
    places = population.places.join(other)
    total = len(places.field)
    cell = np.concatenate([np.arange(n), np.full(total - n, -1)])
    row = np.sort(rng.choice(total, size=total - n, replace=False))  # where the other masks are put in
    order = np.insert(np.arange(n), row - np.arange(total - n), np.arange(n, total))
    unit_id = np.arange(1, total + 1) if day == 0 else rng.permutation(total) + 1
    offset = rng.uniform(-20, 20, 3) * [1, 1, 0.1] if day else np.zeros(3)
    return _Masks(places.take(order), cell[order], unit_id.astype(np.int64), offset)


def _activity(
    responses: Float32s, masks: _Masks, spoilt: npt.NDArray[np.int64], rng: np.random.Generator
) -> Float32s:
    """Return the responses (T, M) of all masks, with a movement of the brain in the spoilt trials."""
    typical = float(responses.mean())
    out = np.empty((len(responses), len(masks.cell)), dtype=np.float32)
    soma = masks.cell >= 0
    out[:, soma] = responses[:, masks.cell[soma]]
    out[:, ~soma] = rng.standard_gamma(0.5, (len(out), int((~soma).sum())), dtype=np.float32) * (2 * typical)
    out[spoilt] += np.float32(ARTEFACT) * out.mean(axis=0)
    return out


def _truth(
    population: Population,
    masks: _Masks,
    session: Session,
    expected: Float32s,
    behavior: TrialBehavior,
    moments: Moments,
) -> Truth:
    unit_id, order = masks.cells_by_unit()
    filters, best = population.filters()
    known = order if len(filters) else np.zeros(0, dtype=np.int64)
    known_of_cells = population.describe()
    unknown = [pl.lit(None, dtype=pl.Float64).alias(c) for c in PARAMETERS if c not in known_of_cells.columns]
    units = known_of_cells[order].with_columns(
        *unknown,
        pl.Series("unit_id", unit_id),
        pl.Series("signal_variance", moments.signal[order]),
        pl.Series("noise_variance", moments.noise[order]),
    )
    return Truth(
        units=units.select(TRUTH_COLUMNS),
        trial_idx=np.arange(len(expected)),
        expected=expected[:, order],
        gain=population.gain(behavior)[:, order],
        shift_px=population.shift_px(behavior),
        filters=filters[known],
        best_image=best[known],
        image_hash=session.conditions["condition_hash"].gather(moments.condition_rows).to_list(),
        image_mean=moments.image_mean[:, order],
    )

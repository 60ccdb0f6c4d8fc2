"""A recording as a rig or an archive hands it over: activity, trials, images, cells. No analysis here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config

TraceKind = Literal["deconvolved", "dff", "spikes"]

MASK_TYPES = ("soma", "axon", "dendrite", "bouton", "neuropil", "artifact", "unknown")

UNIT_COLUMNS = ("unit_id", "field", "px_x", "px_y", "um_x", "um_y", "um_z", "ms_delay", "mask_type")
FIELD_COLUMNS = ("field", "px_height", "px_width", "um_height", "um_width", "x", "y", "z")
TRIAL_COLUMNS = ("trial_idx", "condition_hash", "clear_flip", "onset_flip", "offset_flip")
CONDITION_COLUMNS = ("condition_hash", "image_class", "image_id", "source_id", "image_row")
STACK_COLUMNS = ("stack_session", "stack_idx", "field", "unit_id", "stack_x", "stack_y", "stack_z")
EXCLUDED_COLUMNS = ("trial_idx", "reason")


class ScanKey(Config):
    """Identity of a scan: one imaging session of one field of view.

    Examples
    --------
    >>> str(ScanKey(animal_id=17, session=1, scan_idx=2))
    '17-1-2'
    """

    animal_id: int = Field(ge=0, description="Number of the animal.")
    session: int = Field(ge=0, description="Session of the animal (a day at the rig).")
    scan_idx: int = Field(ge=0, description="Scan within the session.")

    def __str__(self) -> str:
        return f"{self.animal_id}-{self.session}-{self.scan_idx}"


class UnitRows(Protocol):
    """Activity of units × frames, not always in memory: an array, a memory map, rows of a file or store."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, F)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.float32]:
        """Return the rows of some units."""


ROWS_AT_ONCE_BYTES = 32 * 2**20


def unit_blocks(values: UnitRows, limit_bytes: int = ROWS_AT_ONCE_BYTES) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the rows of all units, a block of bounded memory at a time.

    Examples
    --------
    >>> [block.shape for block in unit_blocks(np.zeros((5, 4), np.float32), limit_bytes=32)]
    [(2, 4), (2, 4), (1, 4)]
    """
    step = max(1, limit_bytes // (4 * max(1, values.shape[1])))
    for start in range(0, values.shape[0], step):
        yield np.ascontiguousarray(values[start : start + step], np.float32)


@dataclass(frozen=True)
class Traces:
    """Activity as recorded, on the clock of the frames.

    Attributes
    ----------
    values : (N, F) float32
        One row a segmented mask, in the order of ``units``; NaN where a frame was lost. May be one sample
        longer or shorter than the clocks (a frame cut off at the end).
    frame_times : (F,) float64, s
        Stimulus clock.
    behavior_frame_times : (F,) float64, s
        Behaviour clock of the same frames.
    """

    values: UnitRows
    frame_times: npt.NDArray[np.float64]
    behavior_frame_times: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrialResponses:
    """Activity that somebody has already binned: one value a trial and unit.

    Attributes
    ----------
    values : (T, N) float32
        Rows as ``trials``, columns as ``units``; NaN: lost or withheld.
    """

    values: npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrialEye:
    """Pupil of each trial, already read; NaN where it was not tracked.

    Attributes
    ----------
    pupil_radius : (T,) float64, in the unit of the source
    pupil_derivative : (T,) float64, that a second
    center_x, center_y : (T,) float64, px of the eye camera
    """

    pupil_radius: npt.NDArray[np.float64]
    pupil_derivative: npt.NDArray[np.float64]
    center_x: npt.NDArray[np.float64]
    center_y: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrialTreadmill:
    """Running ``speed`` (T,) float64 of each trial, absolute, already read; NaN where not known."""

    speed: npt.NDArray[np.float64]


@dataclass(frozen=True)
class EyeTrace:
    """Eye camera on the behaviour clock; NaN where the pupil was not tracked.

    Attributes
    ----------
    time : (E,) float64, s
    pupil_radius : (E,) float64, px of the eye camera
    center_x, center_y : (E,) float64, px of the eye camera
    """

    time: npt.NDArray[np.float64]
    pupil_radius: npt.NDArray[np.float64]
    center_x: npt.NDArray[np.float64]
    center_y: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TreadmillTrace:
    """Running on the behaviour clock: ``time`` (V,) s and ``velocity`` (V,) cm/s."""

    time: npt.NDArray[np.float64]
    velocity: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Measured luminance of the rig's monitor.

    Attributes
    ----------
    pixel_value : (P,) float64, grey level 0..255
    luminance : (P,) float64, cd/m²
    timestamp : str, ISO 8601
    """

    pixel_value: npt.NDArray[np.float64]
    luminance: npt.NDArray[np.float64]
    timestamp: str


@dataclass(frozen=True)
class Recording:
    """Everything that one scan hands over; refused on construction where it contradicts itself.

    Attributes
    ----------
    scan : ScanKey
    trace_kind : what the activity is; deconvolved activity is what every later stage expects
    activity : traces with their clocks, or responses already binned per trial
    trials : table, one row a presentation in order: ``trial_idx`` i64, ``condition_hash`` str,
        ``clear_flip`` ≤ ``onset_flip`` < ``offset_flip`` f64 s on the stimulus clock (NaN: no such flip);
        one image at a time
    conditions : table, one row a stimulus condition: ``condition_hash``, ``image_class`` str,
        ``image_id`` i64, ``source_id`` str (photograph it was cut from; empty: its own source),
        ``image_row`` i64 into ``images``; optionally ``tier`` str given by the source (null: not given)
    images : (K, h, w) uint8, grey levels as sent to the monitor; or float32 grey levels where the source
        kept resized images only
    units : table ``unit_id, field`` i64, ``px_x, px_y`` px, ``um_x, um_y, um_z`` µm (NaN: not known),
        ``ms_delay`` ms (NaN: not known, with binned responses only),
        ``mask_type`` one of `MASK_TYPES`; optionally ``brain_area``, ``layer`` str
    fields : table ``field`` i64, ``px_height, px_width`` px, ``um_height, um_width`` µm,
        centre ``x, y, z`` µm; NaN: not known
    eye, treadmill : traces on the behaviour clock, values already read per trial, or None
    stack_coordinates : table ``stack_session, stack_idx, field, unit_id`` i64, ``stack_x, stack_y,
        stack_z`` µm; empty where nothing is registered
    calibration : None where not measured
    excluded_trials : table ``trial_idx`` i64 (each once, and one of ``trials``), ``reason`` str
    """

    scan: ScanKey
    trace_kind: TraceKind
    activity: Traces | TrialResponses
    trials: pl.DataFrame
    conditions: pl.DataFrame
    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    units: pl.DataFrame
    fields: pl.DataFrame
    eye: EyeTrace | TrialEye | None = None
    treadmill: TreadmillTrace | TrialTreadmill | None = None
    stack_coordinates: pl.DataFrame = field(default_factory=lambda: _empty(STACK_COLUMNS))
    calibration: Calibration | None = None
    excluded_trials: pl.DataFrame = field(default_factory=lambda: _empty(EXCLUDED_COLUMNS))

    def __post_init__(self) -> None:
        from inception_loop.recordings.validation import validate  # it speaks of this class

        validate(self)


class Recorded(Protocol):
    """What every stage reads of a scan: a `Recording` in memory, or one in the store, read part by part.

    The attributes are those of `Recording`.
    """

    @property
    def scan(self) -> ScanKey: ...  # noqa: D102
    @property
    def trace_kind(self) -> TraceKind: ...  # noqa: D102
    @property
    def activity(self) -> Traces | TrialResponses: ...  # noqa: D102
    @property
    def trials(self) -> pl.DataFrame: ...  # noqa: D102
    @property
    def conditions(self) -> pl.DataFrame: ...  # noqa: D102
    @property
    def images(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]: ...  # noqa: D102
    @property
    def units(self) -> pl.DataFrame: ...  # noqa: D102
    @property
    def fields(self) -> pl.DataFrame: ...  # noqa: D102
    @property
    def eye(self) -> EyeTrace | TrialEye | None: ...  # noqa: D102
    @property
    def treadmill(self) -> TreadmillTrace | TrialTreadmill | None: ...  # noqa: D102
    @property
    def stack_coordinates(self) -> pl.DataFrame: ...  # noqa: D102
    @property
    def calibration(self) -> Calibration | None: ...  # noqa: D102
    @property
    def excluded_trials(self) -> pl.DataFrame: ...  # noqa: D102


def _empty(columns: tuple[str, ...]) -> pl.DataFrame:
    floats = {"stack_x", "stack_y", "stack_z"}
    return pl.DataFrame(
        schema={c: pl.Float64 if c in floats else pl.String if c == "reason" else pl.Int64 for c in columns}
    )

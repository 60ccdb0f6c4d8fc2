"""What a lab's own file holds, completed to a Recording: what it does not say stays unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError
from inception_loop.recordings.columns import Values, table
from inception_loop.recordings.grey_levels import check_grey_levels
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.presented import Images, presented
from inception_loop.recordings.recording import (
    FIELD_COLUMNS,
    UNIT_COLUMNS,
    Calibration,
    EyeTrace,
    Recording,
    ScanKey,
    TraceKind,
    Traces,
    TreadmillTrace,
    TrialEye,
    TrialResponses,
    TrialTreadmill,
    UnitRows,
)

_UNSAID_FIELD = 1


@dataclass(frozen=True)
class Handed:
    """Parts of a file of tables and arrays, named as in a `Recording`, optional columns missing or not.

    Attributes
    ----------
    where : what the file is called in an error
    images : (K, h, w) uint8 or float32 grey levels
    activity : `traces` (N, F) or `responses` (T, N), float32
    clocks : ``frame_times`` and ``behavior_frame_times``, with traces
    tables : table → column → values, see `columns.TABLES`
    trace_kind : as the file says it, None where it is silent
    """

    where: str
    images: Images
    traces: UnitRows | None = None
    responses: npt.NDArray[np.float32] | None = None
    clocks: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    trace_kind: str | None = None


def completed(handed: Handed, scan: ScanKey, options: ReadOptions) -> Recording:
    """Return the recording that a file holds.

    Columns that are missing are filled with NaN, null or an empty text, or by what ``options`` say; units
    and trials without a number are numbered by their place; without fields there is one, of unknown size
    and place. Units of responses, and of spikes, are cells; masks of traces have to be classified.

    Raises
    ------
    RecordingError
        If the parts contradict each other, or lack what nothing can be done without.
    """
    where = handed.where
    shape = _shape(handed)
    _check_images(handed.images, where)
    frames = {name: table(name, columns, where) for name, columns in handed.tables.items()}
    trace_kind = stated_trace_kind(handed.trace_kind, options, where)
    trials = _numbered(frames.get("trials"), "trial_idx", None if handed.responses is None else shape[0])
    if handed.responses is None and "onset_flip" not in trials.columns:
        raise RecordingError(
            f"{where}: trials lack onset_flip; expected when each image came on, s, with traces"
        )
    trials, conditions = presented(trials, frames.get("conditions"), handed.images, options, where)
    binned = handed.responses is not None or trace_kind == "spikes"
    units = _numbered(frames.get("units"), "unit_id", shape[0] if handed.responses is None else shape[1])
    units, fields = _units(units, frames.get("fields"), options, where, cells=binned)
    eye, treadmill = _eye(frames.get("eye"), where), _treadmill(frames.get("treadmill"), where)
    two_clocks = isinstance(eye, EyeTrace) or isinstance(treadmill, TreadmillTrace)
    parts: dict[str, Any] = {
        name: frames[name] for name in ("stack_coordinates", "excluded_trials") if name in frames
    }
    if "excluded_trials" in parts:
        parts["excluded_trials"] = _with_reasons(parts["excluded_trials"])
    if "calibration" in frames:
        parts["calibration"] = _calibration(frames["calibration"], where)
    return Recording(
        scan=scan,
        trace_kind=trace_kind,
        activity=_activity(handed, two_clocks=two_clocks),
        trials=trials,
        conditions=conditions,
        images=handed.images,
        units=units,
        fields=fields,
        eye=eye,
        treadmill=treadmill,
        **parts,
    )


def stated_trace_kind(stated: str | None, options: ReadOptions, where: str) -> TraceKind:
    """Return what the activity is, as the file or else the options say.

    Raises
    ------
    RecordingError
        If neither says it, both do and differ, or the file says something else.
    """
    kinds: tuple[TraceKind, ...] = get_args(TraceKind)
    if stated is None:
        if options.trace_kind is None:
            raise RecordingError(
                f"{where} does not say what its activity is; expected one of {', '.join(kinds)}; "
                "give the option trace_kind"
            )
        return options.trace_kind
    for kind in kinds:
        if kind == stated:
            if options.trace_kind not in (None, kind):
                raise RecordingError(
                    f"{where} says its activity is {stated} but the option trace_kind is "
                    f"{options.trace_kind}; expected the same; leave the option out"
                )
            return kind
    raise RecordingError(f"{where} has trace_kind {stated!r}; expected one of {', '.join(kinds)}")


def _shape(handed: Handed) -> tuple[int, ...]:
    if (handed.traces is None) == (handed.responses is None):
        got = "neither" if handed.traces is None else "both"
        raise RecordingError(f"{handed.where} has {got} of traces and responses; expected one of them")
    name = "traces" if handed.responses is None else "responses"
    shape = tuple(getattr(handed, name).shape)
    if len(shape) != 2:
        expected = "(units, frames)" if name == "traces" else "(trials, units)"
        raise RecordingError(f"{handed.where}: {name} have shape {shape}; expected {expected}")
    return shape


def _check_images(images: npt.NDArray[Any], where: str) -> None:
    if images.ndim != 3 or images.size == 0 or images.dtype not in (np.uint8, np.float32):
        raise RecordingError(
            f"{where}: images are {images.dtype} of shape {images.shape}; expected uint8 or float32 grey "
            "levels (images, height, width), at least 1 image"
        )
    check_grey_levels(images, where)


def _numbered(frame: pl.DataFrame | None, key: str, n: int | None) -> pl.DataFrame:
    """Give rows without a number that of their place."""
    if frame is None or not frame.width:
        frame = pl.DataFrame({key: np.arange(n or 0, dtype=np.int64)})
    if key in frame.columns:
        return frame
    return frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(key))


def _units(
    units: pl.DataFrame, fields: pl.DataFrame | None, options: ReadOptions, where: str, *, cells: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if "field" not in units.columns:
        if fields is not None and fields.height != 1:
            raise RecordingError(
                f"{where}: units do not say in which of {fields.height} fields they lie; add column field"
            )
        said = fields is not None and "field" in fields.columns
        number = fields["field"][0] if fields is not None and said else _UNSAID_FIELD
        units = units.with_columns(field=pl.lit(number, pl.Int64))
    if fields is None:
        fields = pl.DataFrame({"field": units["field"].unique().sort()})
    units = units.with_columns(
        _unknown(units, UNIT_COLUMNS[2:-1]), mask_type=_mask_types(units, options, where, cells=cells)
    )
    optional = []
    for name in ("brain_area", "layer"):
        said = getattr(options, name)
        if name in units.columns or said is not None:
            given = pl.col(name).replace("", None) if name in units.columns else pl.lit(None, pl.String)
            units = units.with_columns(given.fill_null(pl.lit(said, pl.String)).alias(name))
            optional.append(name)
    fields = fields.with_columns(_unknown(fields, FIELD_COLUMNS[1:]))
    return units.select(*UNIT_COLUMNS, *optional), fields.select(
        c for c in FIELD_COLUMNS if c in fields.columns
    )


def _unknown(frame: pl.DataFrame, columns: tuple[str, ...]) -> list[pl.Expr]:
    return [pl.lit(float("nan")).alias(name) for name in columns if name not in frame.columns]


def _mask_types(units: pl.DataFrame, options: ReadOptions, where: str, *, cells: bool) -> pl.Series:
    if "mask_type" not in units.columns:
        if cells or options.masks == "soma":
            return pl.Series(["soma"] * units.height, dtype=pl.String)
        raise RecordingError(
            f"{where}: units lack mask_type, so that nothing tells cell bodies from other masks; "
            "add the column, or give masks='soma' to take all as somata"
        )
    said = units["mask_type"].replace("", None)
    if options.masks == "soma":
        return said.replace("unknown", None).fill_null("soma")
    if said.null_count():
        raise RecordingError(
            f"{where}: unit {units['unit_id'][int(said.is_null().arg_max() or 0)]} has no mask_type; "
            "write 'unknown' to leave it out, or give masks='soma' to take it as a soma"
        )
    return said


def _eye(frame: pl.DataFrame | None, where: str) -> EyeTrace | TrialEye | None:
    if frame is None or not frame.width:
        return None
    if "time" in frame.columns:
        time = frame["time"].to_numpy()
        return EyeTrace(time, *_behavior("eye", frame, ("pupil_radius", "center_x", "center_y"), where))
    columns = ("pupil_radius", "pupil_derivative", "center_x", "center_y")
    return TrialEye(*_behavior("eye", frame, columns, where))


def _treadmill(frame: pl.DataFrame | None, where: str) -> TreadmillTrace | TrialTreadmill | None:
    if frame is None or not frame.width:
        return None
    if "time" in frame.columns:
        return TreadmillTrace(frame["time"].to_numpy(), *_behavior("treadmill", frame, ("velocity",), where))
    return TrialTreadmill(*_behavior("treadmill", frame, ("speed",), where))


def _behavior(
    name: str, frame: pl.DataFrame, columns: tuple[str, ...], where: str
) -> list[npt.NDArray[np.float64]]:
    trace = "time" in frame.columns
    stray = [column for column in frame.columns if column not in (*columns, "time")]
    if stray:
        of = "a trace (there is a column time)" if trace else "one value a trial (there is no column time)"
        raise RecordingError(
            f"{where}: {name}.{stray[0]} is no column of {of}; expected {', '.join(columns)}"
        )
    nan = np.full(frame.height, np.nan)
    return [frame[column].to_numpy() if column in frame.columns else nan for column in columns]


def _activity(handed: Handed, *, two_clocks: bool) -> Traces | TrialResponses:
    if handed.responses is not None:
        if handed.clocks:
            raise RecordingError(
                f"{handed.where} has responses and clocks of frames; expected traces with clocks"
            )
        return TrialResponses(handed.responses)
    if handed.traces is None or "frame_times" not in handed.clocks:
        raise RecordingError(f"{handed.where} has traces but no frame_times; expected one time a frame, s")
    if two_clocks and "behavior_frame_times" not in handed.clocks:
        raise RecordingError(
            f"{handed.where} has an eye or treadmill trace but no behavior_frame_times; expected the frames' "
            "times on the clock of those traces, s"
        )
    stimulus = handed.clocks["frame_times"]
    # where nothing was recorded on a behaviour clock there is one clock, and nothing is read by the other
    return Traces(handed.traces, stimulus, handed.clocks.get("behavior_frame_times", stimulus))


def _with_reasons(excluded: pl.DataFrame) -> pl.DataFrame:
    if "reason" not in excluded.columns:
        return excluded.with_columns(reason=pl.lit(""))
    return excluded.with_columns(pl.col("reason").fill_null(""))


def _calibration(frame: pl.DataFrame, where: str) -> Calibration:
    for name in ("pixel_value", "luminance"):
        if name not in frame.columns:
            raise RecordingError(f"{where}: calibration lacks {name}; expected pixel_value and luminance")
        if frame[name].is_nan().any():
            raise RecordingError(f"{where}: calibration.{name} holds NaN; expected measured values only")
    times = frame["timestamp"].drop_nulls().unique() if "timestamp" in frame.columns else pl.Series([""])
    if len(times) != 1:
        raise RecordingError(
            f"{where}: calibration.timestamp has {len(times)} values; expected one and the same"
        )
    return Calibration(frame["pixel_value"].to_numpy(), frame["luminance"].to_numpy(), times[0])

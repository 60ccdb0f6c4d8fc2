"""Pupil and running in an NWB file, as traces of a recording."""

from __future__ import annotations

import h5py
import numpy as np
import numpy.typing as npt

from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.names import attribute, last, text, type_of
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import EyeTrace, TreadmillTrace

NONE = "none"
PLACES = {"/processing": True, "/acquisition": False, "/analysis": False}
"""Where behaviour is looked for, and whether a link to another file is refused there."""

_SPEEDS = (
    "running_speed",
    "speed",
    "running_velocity",
    "velocity",
    "treadmill_velocity",
    "treadmill",
    "running",
)
_CM = {
    **dict.fromkeys(("cm/s", "cm s-1", "cm*s-1", "centimeters/second", "centimeters per second"), 1.0),
    **dict.fromkeys(("m/s", "m s-1", "meters/second", "meters per second"), 100.0),
    **dict.fromkeys(("mm/s", "mm s-1", "millimeters/second"), 0.1),
}
_QUANTITIES = ("radius", "diameter", "area")
_CLOCK_TOLERANCE_S = 1e-3

Floats = npt.NDArray[np.float64]


def read_eye(nwb: NwbFile, options: ReadOptions) -> EyeTrace | None:
    """Return the pupil: an ellipse followed over time, or the series of PupilTracking and EyeTracking.

    ``options.names`` chooses: ``pupil`` (an ellipse, or a series of its size; or ``none``), ``gaze`` (a
    series of its centre; or ``none``), ``pupil_quantity`` (radius, diameter or area, if no name tells).
    What is not in the file is NaN; without either, there is no eye.

    Raises
    ------
    RecordingError
        If several fit, the size is of unknown kind, or the two run on different clocks.
    """
    groups = [
        group for place, strict in PLACES.items() for group in nwb.walk(place, strict) if "data" in group
    ]
    size = _chosen(nwb, groups, "pupil", _ellipses(groups) or _sizes(nwb, groups), options)
    if size is not None and _is_ellipse(size):
        return _from_ellipse(nwb, size)
    gaze = _chosen(nwb, groups, "gaze", _gazes(nwb, groups), options)
    if size is None and gaze is None:
        return None
    radius = None if size is None else _radius(nwb, size, options)
    centre = None if gaze is None else _flat(nwb, gaze, 2)
    clocks = [
        nwb.times(group, len(values))
        for group, values in ((size, radius), (gaze, centre))
        if group is not None and values is not None
    ]
    if len(clocks) == 2 and not _same(*clocks):
        raise nwb.refused(
            f"{size.name if size else ''} has {len(clocks[0])} samples and {gaze.name if gaze else ''} "
            f"{len(clocks[1])}, on different clocks; expected one eye camera; set names.pupil or names.gaze "
            f"to {NONE!r} to leave one out"
        )
    nan = np.full(len(clocks[0]), np.nan)
    x, y = (nan, nan) if centre is None else (centre[:, 0], centre[:, 1])
    return EyeTrace(clocks[0], nan if radius is None else radius, x, y)


def read_treadmill(nwb: NwbFile, options: ReadOptions) -> TreadmillTrace | None:
    """Return running in cm/s: the series called running_speed, speed, velocity … or ``names.treadmill``.

    Raises
    ------
    RecordingError
        If several fit, or its unit is not one of length by time (then say it as ``names.treadmill_unit``).
    """
    groups = [
        group for place, strict in PLACES.items() for group in nwb.walk(place, strict) if "data" in group
    ]
    fits: list[h5py.Group] = []
    for name in _SPEEDS:
        fits = fits or [group for group in groups if last(group).lower().replace(" ", "_") == name]
    found = _chosen(nwb, groups, "treadmill", fits, options)
    if found is None:
        return None
    data = nwb.dataset(found, "data")
    unit = options.names.get("treadmill_unit", "" if data is None else text(attribute(data, "unit", "")))
    if unit.strip() not in _CM:
        raise nwb.refused(
            f"{found.name} has the unit {unit!r}; expected one of {', '.join(_CM)}; "
            "set names.treadmill_unit to the right one"
        )
    velocity = _flat(nwb, found, 1)[:, 0] * _CM[unit.strip()]
    return TreadmillTrace(nwb.times(found, len(velocity)), velocity)


def _chosen(
    nwb: NwbFile, groups: list[h5py.Group], role: str, fits: list[h5py.Group], options: ReadOptions
) -> h5py.Group | None:
    place = options.names.get(role)
    if place == NONE:
        return None
    if place is not None:
        named = [group for group in groups if group.name == place.rstrip("/")]
        if not named:
            raise nwb.refused(
                f"has no time series at {place!r} (names.{role}); "
                f"expected {_listed(fits) or 'one'}, or {NONE!r}"
            )
        return named[0]
    if len(fits) > 1:
        raise nwb.refused(
            f"has several series that may be the {role}: {_listed(fits)}; expected one; "
            f"choose it as names.{role}, or {NONE!r}"
        )
    return fits[0] if fits else None


def _is_ellipse(group: h5py.Group) -> bool:
    return "area" in group or ("width" in group and "height" in group)


def _ellipses(groups: list[h5py.Group]) -> list[h5py.Group]:
    return [group for group in groups if _is_ellipse(group) and "pupil" in last(group).lower()]


def _sizes(nwb: NwbFile, groups: list[h5py.Group]) -> list[h5py.Group]:
    def fits(group: h5py.Group) -> bool:
        data = nwb.dataset(group, "data")
        flat = data is not None and (data.ndim == 1 or data.shape[1:] == (1,))
        name = last(group).lower()
        named = "pupil" in name and any(word in name for word in (*_QUANTITIES, "size"))
        return flat and (named or type_of(group.parent) == "PupilTracking")

    return [group for group in groups if fits(group)]


def _gazes(nwb: NwbFile, groups: list[h5py.Group]) -> list[h5py.Group]:
    def fits(group: h5py.Group) -> bool:
        data = nwb.dataset(group, "data")
        name = last(group).lower()
        named = any(word in name for word in ("pupil", "eye", "gaze"))
        return (
            data is not None
            and data.shape[1:] == (2,)
            and not _is_ellipse(group)
            and (type_of(group.parent) == "EyeTracking" or (type_of(group) == "SpatialSeries" and named))
        )

    return [group for group in groups if fits(group)]


def _from_ellipse(nwb: NwbFile, group: h5py.Group) -> EyeTrace:
    centre = _flat(nwb, group, 2)
    area = nwb.dataset(group, "area")
    if area is not None:
        radius = _root(nwb.array(area).astype(np.float64))
    else:
        # half axes: an oblique view shortens one, so the longer is the pupil's radius
        axes = [nwb.dataset(group, name) for name in ("width", "height")]
        radius = np.fmax(*[nwb.array(axis).astype(np.float64) for axis in axes if axis is not None])
    if len(radius) != len(centre):
        raise nwb.refused(
            f"{group.name} has {len(centre)} centres but {len(radius)} sizes; expected one of each"
        )
    blink = nwb.group(group.parent, "likely_blink")
    if blink is not None:
        closed = nwb.values(blink) > 0.5
        if closed.shape != radius.shape:
            raise nwb.refused(f"{blink.name} has shape {closed.shape}; expected {radius.shape}, one a sample")
        radius = np.where(closed, np.nan, radius)
        centre = np.where(closed[:, None], np.nan, centre)
    return EyeTrace(nwb.times(group, len(radius)), radius, centre[:, 0], centre[:, 1])


def _radius(nwb: NwbFile, group: h5py.Group, options: ReadOptions) -> Floats:
    data = nwb.dataset(group, "data")
    unit = "" if data is None else text(attribute(data, "unit", ""))
    said = [
        options.names.get("pupil_quantity", ""),
        last(group),
        text(attribute(group, "description", "")),
        unit,
    ]
    kind = next((kind for words in said for kind in _QUANTITIES if kind in words.lower()), None)
    values = _flat(nwb, group, 1)[:, 0]
    if kind is None:
        raise nwb.refused(
            f"{group.name} does not say whether it is the radius, diameter or area of the pupil; expected "
            f"one of them in its name; set names.pupil_quantity, or names.pupil to {NONE!r}"
        )
    return {"radius": values, "diameter": values / 2, "area": _root(values)}[kind]


def _root(area: Floats) -> Floats:
    """Return the radius of a circle of that area; NaN where there is none."""
    return np.sqrt(np.where(area >= 0, area, np.nan) / np.pi)


def _flat(nwb: NwbFile, group: h5py.Group, width: int) -> Floats:
    values = nwb.values(group)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != width:
        raise nwb.refused(f"{group.name} has data of shape {values.shape}; expected (times, {width})")
    return values


def _same(one: Floats, other: Floats) -> bool:
    return len(one) == len(other) and bool(np.allclose(one, other, rtol=0, atol=_CLOCK_TOLERANCE_S))


def _listed(groups: list[h5py.Group]) -> str:
    return ", ".join(str(group.name) for group in groups)

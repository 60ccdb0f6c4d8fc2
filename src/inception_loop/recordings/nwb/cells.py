"""Masks and imaging planes of an NWB file as the units and fields of a recording."""

from __future__ import annotations

import re
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.masks import centroids
from inception_loop.recordings.nwb.names import attribute, text
from inception_loop.recordings.nwb.traces import Series
from inception_loop.recordings.options import ReadOptions

_CLASSES = ("mask_type", "classification", "roi_type")
_FLAGS = ("is_soma", "iscell", "is_cell", "accepted", "Accepted", "valid_roi")
_AREAS = ("brain_area", "cortical_area", "visual_area", "area", "location")
_ALLEN = {
    "VISp": "V1",
    "VISl": "LM",
    "VISal": "AL",
    "VISrl": "RL",
    "VISam": "AM",
    "VISpm": "PM",
    "VISli": "LI",
    "VISpor": "POR",
}
_NOTHING = ("", "unknown", "none", "n/a", "na", "nan", "unspecified")
_LAYER = r"(1|2\s*[/-]?\s*3|4|5|6)"
_UM = {
    **dict.fromkeys(("meters", "meter", "metres", "m"), 1e6),
    **dict.fromkeys(("centimeters", "cm"), 1e4),
    **dict.fromkeys(("millimeters", "millimeter", "mm"), 1e3),
    **dict.fromkeys(("micrometers", "micrometer", "microns", "micron", "um", "µm", "μm"), 1.0),
}
_WIDEST_UM = 1000.0
_PLANE_IDS = 1_000_000


def read_cells(
    nwb: NwbFile, chosen: list[Series], delays: list[float], options: ReadOptions
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables ``units``, in the order of the traces, and ``fields``, one an imaging plane.

    Raises
    ------
    RecordingError
        If ids repeat, nothing says which masks are cells, or lengths have an unknown unit.
    """
    planes: dict[str, _Plane] = {}
    tables = []
    for series, delay in zip(chosen, delays, strict=True):
        group = nwb.group(series.table, "imaging_plane")
        place = str(series.table.name) if group is None else str(group.name)
        plane = planes.setdefault(place, _Plane(nwb, len(planes) + 1, group, options))
        tables.append(_units(nwb, series, plane, delay, options))
    alone = len(planes) == 1
    units = pl.concat([_placed(units, planes, alone) for units in tables])
    if units["unit_id"].is_duplicated().any():
        units = units.with_columns(unit_id=pl.col("unit_id") + _PLANE_IDS * pl.col("field"))
    return units, pl.DataFrame([plane.row(alone) for plane in planes.values()], schema=_FIELDS)


_FIELDS = {
    "field": pl.Int64,
    **dict.fromkeys(("px_height", "px_width", "um_height", "um_width", "x", "y", "z"), pl.Float64),
}


class _Plane:
    """An imaging plane: where its first pixel lies and how far pixels are apart, µm (NaN: not known)."""

    def __init__(self, nwb: NwbFile, number: int, group: h5py.Group | None, options: ReadOptions) -> None:
        self.number = number
        self.size = (float("nan"), float("nan"))
        self.origin = self.spacing = np.full(3, np.nan)
        self.location = ""
        if group is None:
            return
        self.origin = _lengths(nwb, group, "origin_coords", options)
        self.spacing = _lengths(nwb, group, "grid_spacing", options)
        if (np.abs(self.spacing) > _WIDEST_UM).any():
            raise nwb.refused(
                f"{group.name}/grid_spacing is {np.nanmax(np.abs(self.spacing)):.0f} µm a pixel; expected at "
                f"most {_WIDEST_UM:.0f}; if the unit is wrong, set names.length_unit to the right one"
            )
        location = nwb.dataset(group, "location")
        self.location = "" if location is None else text(nwb.array(location))
        if np.isnan(self.origin[2]):
            self.origin = np.append(self.origin[:2], _depth(nwb, group))

    def corner(self, alone: bool) -> npt.NDArray[np.float64]:
        """Return the first pixel's place; the only plane's corner may be the origin of the scan."""
        lost = np.isnan(self.origin[:2]).any() and alone
        return np.append(np.zeros(2), self.origin[2]) if lost else self.origin

    def row(self, alone: bool) -> dict[str, float]:
        height, width = self.size
        (x, y, z), (dx, dy, _) = self.corner(alone), self.spacing
        return {
            "field": self.number,
            "px_height": height,
            "px_width": width,
            "um_height": height * dy,
            "um_width": width * dx,
            "x": x + dx * (width - 1) / 2,
            "y": y + dy * (height - 1) / 2,
            "z": z,
        }


def _lengths(nwb: NwbFile, plane: h5py.Group, name: str, options: ReadOptions) -> npt.NDArray[np.float64]:
    """Return x, y and z in µm; NaN for what is not given."""
    found = nwb.dataset(plane, name)
    lengths = np.full(3, np.nan)
    if found is None:
        return lengths
    unit = options.names.get("length_unit", text(attribute(found, "unit", "meters")))
    values = nwb.array(found)
    if (
        unit.strip() not in _UM
        or values.ndim != 1
        or len(values) not in (2, 3)
        or values.dtype.kind not in "iuf"
    ):
        raise nwb.refused(
            f"{found.name} has shape {values.shape} and unit {unit!r}; expected x, y (and z) in one of "
            f"{', '.join(_UM)}; set names.length_unit to the right one"
        )
    lengths[: len(values)] = values.astype(np.float64) * _UM[unit.strip()]
    return lengths


def _depth(nwb: NwbFile, plane: h5py.Group) -> float:
    """Return the depth that the plane's description states (``at depth 175 um``), or NaN."""
    found = nwb.dataset(plane, "description")
    said = "" if found is None else text(nwb.array(found))
    depth = re.search(r"depth[^0-9]{0,12}([0-9]+(?:\.[0-9]+)?)\s*(?:um|µm|μm|micron)", said, re.IGNORECASE)
    return float(depth[1]) if depth else float("nan")


def _units(nwb: NwbFile, series: Series, plane: _Plane, delay: float, options: ReadOptions) -> pl.DataFrame:
    table, rows = series.table, series.rows
    ids = nwb.column(table, options.names.get("unit_id", "id"))
    if ids is None or ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise nwb.refused(
            f"{table.name} has no whole-numbered column id (or names.unit_id); expected roi ids"
        )
    ids = ids[rows].astype(np.int64)
    _refuse_repeated(nwb, table, ids)
    x, y, z, size = centroids(nwb, table)
    plane.size = size if np.isnan(plane.size).any() else plane.size
    own = _numbers(nwb, table, {"ms_delay": 1.0, "delay_ms": 1.0, "delay": 1000.0})
    depth = _numbers(nwb, table, {"um_z": 1.0, "depth": 1.0})
    area, layer = _area_and_layer(plane.location)
    return pl.DataFrame(
        {
            "unit_id": ids,
            "field": np.full(len(rows), plane.number, np.int64),
            "px_x": x[rows],
            "px_y": y[rows],
            "px_z": z[rows],
            "depth": np.full(len(rows), np.nan) if depth is None else depth[rows],
            "ms_delay": np.full(len(rows), delay) + (0 if own is None else own[rows]),
            "mask_type": _mask_types(nwb, table, options)[rows],
            "brain_area": _told(nwb, table, rows, _AREAS, _area, area or options.brain_area),
            "layer": _told(nwb, table, rows, ("layer",), _layer, layer or options.layer),
        },
        schema_overrides={"brain_area": pl.String, "layer": pl.String, "mask_type": pl.String},
    )


def _placed(units: pl.DataFrame, planes: dict[str, _Plane], alone: bool) -> pl.DataFrame:
    """Give units of one plane their place in µm."""
    number = units["field"][0] if units.height else 1
    plane = next(plane for plane in planes.values() if plane.number == number)
    (x, y, z), (dx, dy, dz) = plane.corner(alone), plane.spacing
    steps = pl.col("px_z").fill_nan(0.0) * (0.0 if np.isnan(dz) else dz)
    depth = pl.when(pl.col("depth").is_not_nan()).then("depth").otherwise(z + steps)
    return units.select(
        "unit_id",
        "field",
        "px_x",
        "px_y",
        um_x=x + dx * pl.col("px_x"),
        um_y=y + dy * pl.col("px_y"),
        um_z=depth,
        ms_delay="ms_delay",
        mask_type="mask_type",
        brain_area="brain_area",
        layer="layer",
    )


def _refuse_repeated(nwb: NwbFile, table: h5py.Group, ids: npt.NDArray[np.int64]) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise nwb.refused(
            f"roi id {values[counts > 1][0]} stands {counts[counts > 1][0]} times in {table.name}; "
            "expected each once; name a column of unique numbers as names.unit_id"
        )


def _numbers(nwb: NwbFile, table: h5py.Group, names: dict[str, float]) -> npt.NDArray[np.float64] | None:
    for name, scale in names.items():
        found = nwb.column(table, name)
        if found is not None and found.ndim == 1 and found.dtype.kind in "iuf":
            return found.astype(np.float64) * scale
    return None


def _mask_types(nwb: NwbFile, table: h5py.Group, options: ReadOptions) -> npt.NDArray[np.str_]:
    """Return the class of each mask of a table; ``options.masks`` speaks for masks of no known class."""
    unknown = "soma" if options.masks == "soma" else "unknown"
    for name in _CLASSES:
        found = nwb.column(table, name)
        if found is not None and found.dtype.kind == "U":
            said = np.char.lower(np.char.strip(found))
            return np.where(np.isin(said, _NOTHING), unknown, said)
    for name in _FLAGS:
        found = nwb.column(table, name)
        if found is not None and found.dtype.kind in "biuf":
            flags = (found if found.ndim == 1 else found[:, 0]).astype(np.float64)
            no = "unknown" if name == "is_soma" else "artifact"
            return np.where(np.isnan(flags), unknown, np.where(flags > 0.5, "soma", no))
    if options.masks == "refuse":
        raise nwb.refused(
            f"{table.name} does not say which masks are somata; expected one of the columns "
            f"{', '.join(_CLASSES + _FLAGS)}; set masks='soma' to take all of them"
        )
    return np.full(nwb.height(table), "soma")


def _told(
    nwb: NwbFile,
    table: h5py.Group,
    rows: npt.NDArray[np.int64],
    names: tuple[str, ...],
    form: Any,
    otherwise: str | None,
) -> list[str | None]:
    """Return a text a unit from the first column that has it, else what is known of all."""
    for name in names:
        found = nwb.column(table, name)
        if found is not None and found.ndim == 1 and found.dtype.kind in ("U" if names is _AREAS else "Uiu"):
            return [form(str(value)) or otherwise for value in found[rows].tolist()]
    return [otherwise] * len(rows)


def _area(said: str) -> str | None:
    """Return the area that a text names: a known one of the mouse's visual cortex in it, else the text.

    Examples
    --------
    >>> _area("VISp"), _area("V1, layer 2/3"), _area("retrosplenial"), _area("unknown")
    ('V1', 'V1', 'retrosplenial', None)
    """
    words: list[str] = [_ALLEN.get(word, word) for word in re.findall(r"\w+", said)]
    known = {word for word in words if word in _ALLEN.values()}
    if len(known) == 1:
        return known.pop()
    return None if said.strip().lower() in _NOTHING else said.strip()


def _layer(said: str) -> str | None:
    """Return a layer as ``L2/3``; another text as it is.

    Examples
    --------
    >>> _layer("2/3"), _layer("L23"), _layer("layer 4"), _layer("unset"), _layer("")
    ('L2/3', 'L2/3', 'L4', 'unset', None)
    """
    found = re.fullmatch(rf"\s*(?:layer\s*|L)?\s*{_LAYER}\s*", said, re.IGNORECASE)
    if found:
        return "L2/3" if found[1][0] == "2" else f"L{found[1]}"
    return None if said.strip().lower() in _NOTHING else said.strip()


def _area_and_layer(location: str) -> tuple[str | None, str | None]:
    found = re.search(rf"\b(?:layer\s*|L){_LAYER}(?![\w/])", location, re.IGNORECASE)
    return _area(location), _layer(found[1]) if found else None

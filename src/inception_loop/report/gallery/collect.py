"""What a gallery shows, read from artifacts of any image kind by the form that they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import DataError
from inception_loop.images.image_kind import MEASURED
from inception_loop.report.gallery.kinds import in_order

Floats = npt.NDArray[np.floating]
UnitKey = tuple[str, int]
"""Scan and unit."""
ImageKey = tuple[str, int, str, int]
"""Scan, unit, kind of image and which of the unit's images of that kind."""
KEY = ["name", "unit_id", "what", "number"]
_TYPES = {pa.float64(): pl.Float64, pa.int64(): pl.Int64, pa.bool_(): pl.Boolean, pa.string(): pl.String}
_UNIT = {"name": pl.String, "neuron_id": pl.Int64, "unit_id": pl.Int64}
_PLACE = {"what": pl.String, "number": pl.Int64, "artifact": pl.String, "row": pl.Int64}
_MEASURED = {name: _TYPES[column.type] for name, column in MEASURED.items()}
_CLIMBED = {"iterations": pl.Int64, "stop_reason": pl.String}
_MADE = {"step_limit": pl.Int64, "images_at_once": pl.Int64}
_MASKED = {"area_px": pl.Float64, "achieved_ratio": pl.Float64}
_CURVE = {**{name: (_UNIT | _PLACE)[name] for name in KEY}, "against": pl.String}
_CURVE |= {"x": pl.Float64, "activation": pl.Float64}


@dataclass(frozen=True)
class Shifted:
    """Activation of a displaced image: (S, S) ``[y, x]`` over offsets (S,), px."""

    offset: npt.NDArray[np.int64]
    activation: Floats

    @property
    def own(self) -> float:
        """Activation of the image in its own place."""
        at = int(np.flatnonzero(self.offset == 0)[0])
        return float(self.activation[at, at])


@dataclass
class Pictures:
    """Arrays of a gallery, which stay in the artifacts that they come from.

    Attributes
    ----------
    images : (H, W) grey levels by image
    fields : further arrays of an image by their name, such as the gradient ``point_rf``
    tuning : contrast (G,) and activation (G,) by image
    shifts : displaced images, where they were measured
    masks : (H, W) from 0 to 1
    """

    images: dict[ImageKey, Floats] = field(default_factory=dict)
    fields: dict[ImageKey, dict[str, Floats]] = field(default_factory=dict)
    tuning: dict[ImageKey, tuple[Floats, Floats]] = field(default_factory=dict)
    shifts: dict[ImageKey, Shifted] = field(default_factory=dict)
    masks: dict[ImageKey, Floats] = field(default_factory=dict)


def what_of(store: ArtifactStore, role: str, ref: ArtifactRef) -> str:
    """Return how a gallery calls images: by their role, ``inhibiting_…`` where they excite least."""
    objective = store.manifest(ref).config.get("objective", "")
    kind = objective.get("type", "") if isinstance(objective, Mapping) else objective
    inhibits = "inhibit" in str(kind) and not role.startswith("inhibiting")
    return f"inhibiting_{role}" if inhibits else role


def _how_made(store: ArtifactStore, ref: ArtifactRef) -> dict[str, pl.Expr]:
    """Return what an artifact's manifest says of how all of its images were made."""
    manifest = store.manifest(ref)
    procedure = manifest.config.get("procedure") or {}
    values = {
        "step_limit": procedure["iterations"] if "patience" in procedure else None,
        "images_at_once": manifest.findings.get("images_at_once_for_memory"),
    }
    return {name: pl.lit(values[name], kind) for name, kind in _MADE.items()}


def has_masks(store: ArtifactStore, ref: ArtifactRef) -> bool:
    """Whether an artifact holds masks, not images."""
    payloads = store.manifest(ref).payloads
    return "masks" in payloads and "images" not in payloads


def read_images(
    store: ArtifactStore, images: Mapping[str, Sequence[ArtifactRef]]
) -> tuple[pl.DataFrame, Pictures]:
    """Read artifacts of image kinds.

    Parameters
    ----------
    store
        Where they lie.
    images
        Role (the name of the kind) → artifacts.

    Returns
    -------
    images
        ``name, neuron_id, unit_id, what, number, artifact, row``, the columns of `MEASURED`, ``iterations``
        and ``stop_reason`` (null where an image was not climbed), ``step_limit`` and ``images_at_once``;
        kinds in the order in which they are shown.
    pictures
        Their arrays.

    Raises
    ------
    DataError
        If an artifact has not the form of `image_kind`.
    """
    found = defaultdict(list)
    for role, refs in images.items():
        for ref in sorted(set(refs), key=lambda one: one.digest):
            found[what_of(store, role, ref)].append(ref)
    schema = _UNIT | _PLACE | _MEASURED | _CLIMBED | _MADE
    parts, pictures = [pl.DataFrame(schema=schema)], Pictures()
    for what in in_order(found):
        read: dict[UnitKey, int] = defaultdict(int)
        for ref in found[what]:
            whole = _table(store, ref).with_columns(**_how_made(store, ref))
            table = _numbered(whole, ref, what, read, schema)
            parts.append(table)
            _take_arrays(store, ref, table, pictures)
    return pl.concat(parts), pictures


def read_masks(store: ArtifactStore, refs: Sequence[ArtifactRef], pictures: Pictures) -> pl.DataFrame:
    """Read mask artifacts: a row a mask, see the table ``masks``; their arrays join ``pictures``."""
    schema = _UNIT | _PLACE | _MASKED
    found, parts = defaultdict(list), [pl.DataFrame(schema=schema)]
    for ref in sorted(set(refs), key=lambda one: one.digest):
        found[ref.kind].append(ref)
    for what in in_order(found):
        read: dict[UnitKey, int] = defaultdict(int)
        for ref in found[what]:
            masks = np.asarray(store.arrays(ref, "masks")["masks"])
            area = pl.Series("area_px", masks.sum((1, 2), dtype=np.float64))
            table = _numbered(store.table(ref, ref.kind).with_columns(area), ref, what, read, schema)
            parts.append(table)
            pictures.masks |= dict(zip(keys_of(table), masks, strict=True))
    return pl.concat(parts)


def keys_of(table: pl.DataFrame) -> Iterator[ImageKey]:
    """Yield the key of every row."""
    return table.select(KEY).iter_rows()


def read_curves(images: pl.DataFrame, pictures: Pictures, points: int) -> pl.DataFrame:
    """Return what the curves of a gallery show: activation against contrast and against displacement."""
    parts = [pl.DataFrame(schema=_CURVE)]
    for key in keys_of(images):
        of = dict(zip(KEY, key, strict=True))
        curves = {}
        if key in pictures.tuning:
            curves["contrast"] = thinned(*pictures.tuning[key], points)
        if key in pictures.shifts:
            curves["distance"] = by_distance(pictures.shifts[key])
        for against, (x, activation) in curves.items():
            at = {"x": np.float64(x), "activation": np.float64(activation)}
            parts.append(pl.DataFrame({**of, "against": against, **at}, schema=_CURVE))
    return pl.concat(parts)


def thinned(x: Floats, y: Floats, points: int) -> tuple[Floats, Floats]:
    """Keep so many points of a curve, its ends and its peak among them.

    Examples
    --------
    >>> x, y = thinned(np.arange(11.0), -(np.arange(11.0) - 3) ** 2, 3)
    >>> x.tolist()
    [0.0, 3.0, 5.0, 10.0]
    """
    kept = np.unique([*np.linspace(0, len(x) - 1, min(points, len(x))).round().astype(int), int(y.argmax())])
    return x[kept], y[kept]


def by_distance(shifted: Shifted) -> tuple[Floats, Floats]:
    """Return mean activation by distance, rounded to whole px, up to the largest offset along an axis.

    Examples
    --------
    >>> one = Shifted(np.array([-1, 0, 1]), np.array([[0, 1, 0], [1, 4, 1], [0, 3, 0.0]]))
    >>> [part.tolist() for part in by_distance(one)]
    [[0, 1], [4.0, 0.75]]
    """
    x, y = np.meshgrid(shifted.offset, shifted.offset)
    distance = np.rint(np.hypot(x, y)).astype(int)
    found = np.unique(distance[distance <= np.abs(shifted.offset).max()])
    return found, np.array([shifted.activation[distance == one].mean() for one in found])


def _table(store: ArtifactStore, ref: ArtifactRef) -> pl.DataFrame:
    payloads = store.manifest(ref).payloads
    if ref.kind not in payloads or "images" not in payloads:
        raise DataError(
            f"{ref} holds {', '.join(payloads)}; expected images of units: a table '{ref.kind}' and "
            "'images'; give artifacts of image kinds"
        )
    table = store.table(ref, ref.kind)
    missing = [name for name in ("name", "unit_id", "activation", "contrast") if name not in table.columns]
    if missing:
        raise DataError(f"table '{ref.kind}' of {ref} lacks {missing}; expected the columns of image_kind")
    return table


def _numbered(
    table: pl.DataFrame, ref: ArtifactRef, what: str, read: dict[UnitKey, int], schema: Mapping[str, Any]
) -> pl.DataFrame:
    """Bring rows into a form, nulls where a column is lacking; ``read`` counts the images so far."""
    numbers = []
    for key in table.select("name", "unit_id").iter_rows():
        numbers.append(read[key])
        read[key] += 1
    placed = table.with_columns(
        what=pl.lit(what),
        number=pl.Series(numbers, dtype=pl.Int64),
        artifact=pl.lit(ref.digest),
        row=pl.int_range(pl.len(), dtype=pl.Int64),
    )
    return placed.select(
        pl.col(name).cast(kind) if name in placed.columns else pl.lit(None, kind).alias(name)
        for name, kind in schema.items()
    )


def _take_arrays(store: ArtifactStore, ref: ArtifactRef, table: pl.DataFrame, pictures: Pictures) -> None:
    payloads = store.manifest(ref).payloads
    arrays = dict(store.arrays(ref, "images"))
    images = arrays.pop("images")
    tuning = store.arrays(ref, "tuning") if "tuning" in payloads else {}
    shifts = store.arrays(ref, "shifts") if "shifts" in payloads else {}
    for row, key in enumerate(keys_of(table)):
        pictures.images[key] = np.asarray(images[row])
        fields = {name: np.asarray(found[row]) for name, found in arrays.items() if _is_field(found, images)}
        if fields:
            pictures.fields[key] = fields
        if tuning:
            pictures.tuning[key] = (tuning["contrast"][row], tuning["activation"][row])
        if shifts:
            pictures.shifts[key] = Shifted(shifts["offset"], shifts["activation"][row])


def _is_field(array: npt.NDArray[Any], images: npt.NDArray[Any]) -> bool:
    return array.shape == images.shape and np.issubdtype(array.dtype, np.floating)

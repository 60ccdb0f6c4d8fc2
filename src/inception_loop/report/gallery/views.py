"""One unit of a gallery, ready to be shown: by the page as HTML and by a panel as PNG."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from inception_loop.report.gallery.artifact import Gallery
from inception_loop.report.gallery.charts import Chart, Line, chart, cut
from inception_loop.report.gallery.collect import KEY, ImageKey, Pictures, Shifted, UnitKey
from inception_loop.report.gallery.kinds import MASK, MEI, Look, excites, looks_of, title_of
from inception_loop.report.gallery.pictures import (
    FIELD_COLORS,
    Bytes,
    GreyScale,
    Segment,
    field_levels,
    field_limit,
    heat_levels,
    outline,
)
from inception_loop.report.words import number, percent

MARKS = {"ok": "✓", "note": "·", "warn": "!", "bad": "✗"}
VERDICTS = {"ok": "fine", "warn": "look at it", "bad": "leave out"}
FIELDS = {"point_rf": "gradient at grey", "centre": "its centre alone", "surround": "its surround alone"}
OUTLINES = ("#ffd400", "#00d5ff", "#ff6ec7", "#9cff57", "#ffffff")
"""Colours of masks on grey."""
BEYOND = 2.0  # times the end of the MEI's curve: natural images go much further, and are cut there


@dataclass(frozen=True)
class Outline:
    """A mask on a picture: the edges of its inside, their colour, which mask it is."""

    edges: tuple[Segment, ...]
    color: str
    text: str


@dataclass(frozen=True)
class PictureView:
    """One picture of a unit.

    Attributes
    ----------
    what, mark, color : of its frame: key, number and colour of its kind
    title, note, alt : what it is, what to know of it, both for who cannot see it
    pixels : (H, W) grey from 0 to 255, or colours of ``palette``
    palette : name of the map; None: grey
    outlines : masks drawn on it
    """

    what: str
    mark: str
    color: str
    title: str
    note: str
    alt: str
    pixels: Bytes
    palette: str | None = None
    outlines: tuple[Outline, ...] = ()


@dataclass(frozen=True)
class RowView:
    """Activations by one image of a unit, a row of the table ``images``."""

    look: Look
    title: str
    image: Mapping[str, Any]
    kept: float | None


@dataclass(frozen=True)
class HeatView:
    """Activation by a displaced image as colours, (S, S), of which image and up to which displacement."""

    title: str
    pixels: Bytes
    reach: int
    alt: str


@dataclass(frozen=True)
class UnitView:
    """A unit.

    Attributes
    ----------
    unit : its row of ``units``
    slug : its name in links and files
    title, note : who it is, what is known of it
    findings : its rows of ``findings``
    pictures, rows : its images, and the activations by them
    span : lowest (0 or below) and highest of all its activations
    contrast, displaced : its charts and their text, where they were measured
    heat : its displaced MEI, where that was measured
    """

    unit: Mapping[str, Any]
    slug: str
    title: str
    note: str
    findings: tuple[Mapping[str, Any], ...]
    pictures: tuple[PictureView, ...]
    rows: tuple[RowView, ...]
    span: tuple[float, float]
    contrast: tuple[Chart, str] | None
    displaced: tuple[Chart, str] | None
    heat: HeatView | None


def unit_views(gallery: Gallery, pictures: Pictures, scale: GreyScale) -> Iterator[UnitView]:
    """Yield every unit of a gallery in its order.

    Parameters
    ----------
    gallery, pictures
        Its tables, and its arrays.
    scale
        The grey scale of all images.
    """
    looks = looks_of(gallery.images["what"])
    tables = ("images", "masks", "curves", "findings")
    images, masks, curves, findings = (_by_unit(getattr(gallery, name)) for name in tables)
    several = gallery.units["name"].n_unique() > 1
    for unit in gallery.units.iter_rows(named=True):
        key = (unit["name"], unit["unit_id"])
        rows = [_row(row, looks) for row in images.get(key, [])]
        said = [row.image[f"{judge}activation"] for row in rows for judge in ("", "reference_", "validator_")]
        known = [0.0, *(value for value in said if value is not None)]
        lines = curves.get(key, [])
        shown = next((row.image["contrast"] for row in rows if row.look.what == MEI), None)
        yield UnitView(
            unit=unit,
            slug=slug(*key),
            title=f"Unit {unit['unit_id']} · {_standing(unit)}",
            note=_note(unit, several),
            findings=tuple(findings.get(key, [])),
            pictures=tuple(_pictures(rows, masks.get(key, []), pictures, scale)),
            rows=tuple(rows),
            span=(min(known), max(known)),
            contrast=_chart(lines, "contrast", looks, unit["unit_id"], shown),
            displaced=_chart(lines, "distance", looks, unit["unit_id"]),
            heat=_heat(rows, pictures),
        )


def slug(name: str, unit_id: int) -> str:
    """Return what a unit is called in links and file names.

    Examples
    --------
    >>> slug("group000-1-1-1", 12), slug("a/b", 3)
    ('group000-1-1-1_12', 'a~2f~b_3')
    """
    safe = re.sub(r"[^A-Za-z0-9.-]", lambda found: f"~{ord(found[0]):x}~", name)
    return f"{safe}_{unit_id}"


def image_title(look: Look, nth: int) -> str:
    """Return what a person calls one image; further ones of a unit are counted."""
    return look.title if nth == 0 else f"{look.title} {nth + 1}"


def _by_unit(table: pl.DataFrame) -> dict[UnitKey, list[dict[str, Any]]]:
    found: dict[UnitKey, list[dict[str, Any]]] = {}
    for row in table.iter_rows(named=True):
        found.setdefault((row["name"], row["unit_id"]), []).append(row)
    return found


def _standing(unit: Mapping[str, Any]) -> str:
    rank = None if unit["hu_rank"] is None else f"rank {unit['hu_rank']}"
    panel = None if unit["panel"] is None else f"truth panel, {unit['panel']}"
    return " · ".join(part for part in (rank, panel) if part) or "not selected"


def _note(unit: Mapping[str, Any], several: bool) -> str:
    place = ", ".join(unit[name] for name in ("brain_area", "layer") if unit[name])
    fractions = [("CNN", "cnn_fraction_oracle"), ("linear", "lin_fraction_oracle")]
    of_oracle = ", ".join(f"{who} {percent(unit[name])}" for who, name in fractions if unit[name] is not None)
    parts = (
        f"scan {unit['name']}" if several else "",
        place,
        "" if unit["oracle_corr"] is None else f"oracle {number(unit['oracle_corr'])}",
        f"{of_oracle} of the oracle" if of_oracle else "",
    )
    return " · ".join(part for part in parts if part)


def _row(image: Mapping[str, Any], looks: Mapping[str, Look]) -> RowView:
    look, own = looks[image["what"]], image["reference_activation"]
    moved = image["shift_mean_activation"]
    known = excites(image["what"]) and own is not None and moved is not None and own > 0
    kept = moved / own if known else None
    return RowView(look, image_title(look, image["number"]), image, kept)


def _pictures(
    rows: Sequence[RowView], masks: Sequence[Mapping[str, Any]], pictures: Pictures, scale: GreyScale
) -> Iterator[PictureView]:
    for place, row in enumerate(rows):
        key, unit_id = _key(row.image), row.image["unit_id"]
        grey = scale.shown(pictures.images[key])
        activation = row.image["reference_activation"]
        said = "" if activation is None else number(activation)
        alt = f"{row.title} of unit {unit_id}" + (f", activation {said}" if said else "")
        look = (row.look.what, row.look.mark, row.look.color)
        yield PictureView(*look, row.title, said, alt, grey)
        for name, values in pictures.fields.get(key, {}).items():
            title = FIELDS.get(name, name.replace("_", " "))
            field_alt = f"{row.title} of unit {unit_id}: {title}"
            if values.min() >= 0:  # grey levels, as those of an image
                yield PictureView(*look, title, "", field_alt, scale.shown(values))
            else:
                note = f"±\u00a0{field_limit(values):.2g} per grey level"
                colors = field_levels(values)
                yield PictureView(*look, title, note, f"{field_alt}, {note}", colors, FIELD_COLORS)
        if place == 0 and masks:
            yield _masked(grey, masks, pictures)
    if masks and not rows:
        yield _masked(np.full_like(pictures.masks[_key(masks[0])], 128, np.uint8), masks, pictures)


def _masked(grey: Bytes, masks: Sequence[Mapping[str, Any]], pictures: Pictures) -> PictureView:
    drawn = []
    for place, mask in enumerate(masks):
        ratio = mask["achieved_ratio"]
        kept = "" if ratio is None else f", keeps {percent(ratio)}"
        title = title_of(mask["what"]) + (f" {mask['number'] + 1}" if mask["number"] else "")
        text = f"{title}: {mask['area_px']:.0f} px²{kept}"
        edges = tuple(outline(pictures.masks[_key(mask)]))
        drawn.append(Outline(edges, OUTLINES[place % len(OUTLINES)], text))
    alt = f"Unit {masks[0]['unit_id']} with the outline of {'; '.join(one.text for one in drawn)}"
    return PictureView(MASK, "", "#52606d", "", "", alt, grey, None, tuple(drawn))


def _chart(
    curves: Sequence[Mapping[str, Any]],
    against: str,
    looks: Mapping[str, Look],
    unit_id: int,
    at: float | None = None,
) -> tuple[Chart, str] | None:
    """Lay out the curves of the first image of each kind."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in curves:
        if row["against"] == against and row["number"] == 0:
            points.setdefault(row["what"], []).append((row["x"], row["activation"]))
    if not points:
        return None
    lines = [Line(looks[what], *np.array(of).T) for what, of in points.items()]
    most = BEYOND * lines[0].x[-1]
    label = {"contrast": "contrast, grey levels", "distance": "displaced by, px"}[against]
    said = "at its highest" if against == "contrast" else "at the end"
    ends = [line.y.max() if against == "contrast" else line.y[-1] for line in lines]
    told = "; ".join(
        f"{line.look.title} {number(float(end))} {said}" for line, end in zip(lines, ends, strict=True)
    )
    alt = f"Activation of unit {unit_id} against {against}: {told}"
    return chart([cut(line, most) for line in lines], label, at=at if against == "contrast" else None), alt


def _heat(rows: Sequence[RowView], pictures: Pictures) -> HeatView | None:
    """Show the first image that was displaced, the MEI if it was."""
    for row in rows:
        moved: Shifted | None = pictures.shifts.get(_key(row.image))
        if moved is None:
            continue
        reach, own = int(np.abs(moved.offset).max()), moved.own
        least = "" if own <= 0 else f", {percent(float(moved.activation.min()) / own)} at worst"
        alt = f"Activation by the {row.title} of unit {row.image['unit_id']} displaced by up to {reach} px"
        return HeatView(row.title, heat_levels(moved.activation, own), reach, alt + least)
    return None


def _key(row: Mapping[str, Any]) -> ImageKey:
    name, unit_id, what, nth = (row[column] for column in KEY)
    return name, unit_id, what, nth

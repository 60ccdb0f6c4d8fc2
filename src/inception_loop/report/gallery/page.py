"""The gallery as HTML: a contact sheet, what the images are worth, and every unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from inception_loop.report.figures.canvas import Figure
from inception_loop.report.figures.gallery import (
    ascents_figure,
    beside_mei_figure,
    contrast_figure,
    displaced_figure,
    validator_figure,
)
from inception_loop.report.gallery.artifact import Gallery
from inception_loop.report.gallery.charts import bar_svg, svg
from inception_loop.report.gallery.findings import Limits
from inception_loop.report.gallery.kinds import MEI, in_order, looks_of, title_of
from inception_loop.report.gallery.pictures import (
    FIELD_COLORS,
    HEAT_COLORS,
    GreyScale,
    Segment,
    bar_png,
    palette,
)
from inception_loop.report.gallery.views import MARKS, VERDICTS, PictureView, UnitView
from inception_loop.report.gallery.words import (
    LEAVE_OUT,
    QUESTION,
    facts,
    headline,
    leave_out,
    listed_units,
    remarks,
    sentences,
    tone,
    value_of,
)
from inception_loop.report.html import data_uri, environment, text
from inception_loop.report.pictures import png
from inception_loop.report.words import count, percent

FOLDED = 12
"""So many units with a finding are listed at once; more on request."""
_CELLS = (
    ("share_of_mei", "reference", "of the MEI’s activation"),
    ("share_of_mei", "validator", "the same, validator"),
    ("mei_wins", "reference", "MEI not beaten"),
    ("mei_wins", "validator", "the same, validator"),
    ("monotonic", "", "never falls with contrast"),
    ("kept_when_displaced", "", "kept when displaced"),
)
Told = Callable[[int, int, str], None]


def render_gallery_page(
    gallery: Gallery,
    views: Sequence[UnitView],
    scale: GreyScale,
    group_id: int,
    *,
    digest: str = "",
    limits: Limits | None = None,
    most_units: int | None = None,
    progress: Told | None = None,
) -> str:
    """Return the gallery of a group as one HTML page that needs no network.

    Parameters
    ----------
    gallery, views
        What it says, and its units ready to be shown, see `unit_views`.
    scale
        The grey scale of all images.
    group_id, digest
        Of which group; its own digest, to be shown.
    limits
        By which its findings were found.
    most_units
        So many units are shown one by one at most; all are on the contact sheet.
    progress
        Told ``(done, total, text)`` unit by unit.
    """
    kind = _sheet_kind(gallery)
    shown = views if most_units is None else views[:most_units]
    uris = [[picture_uri(picture) for picture in view.pictures] for view in views]
    listed = listed_units(gallery)
    slugs = {(view.unit["name"], view.unit["unit_id"]): view.slug for view in views}
    page = (
        environment()
        .get_template("gallery.html.jinja")
        .render(
            group_id=group_id,
            tone=tone(gallery),
            question=QUESTION,
            headline=headline(gallery),
            shape=_shape(views),
            sheet_of=f"the {title_of(kind)} of {count(len(views), 'unit')}",
            sheet_kind=title_of(kind),
            sheet=[_thumb(view, of, kind) for view, of in zip(views, uris, strict=True)],
            order="Units by rank of selection, then those of the truth panel.",
            grey=f"All images are on one grey scale, none is stretched: {scale.words()}.",
            grey_bar=data_uri("image/png", png(np.linspace(0, 255, 64).round().astype(np.uint8)[None])),
            listed=_listed(listed, slugs),
            leave_out=leave_out(gallery),
            leave_out_by=LEAVE_OUT,
            rules=_rules(limits or Limits()),
            facts=facts(gallery),
            sentences=sentences(gallery),
            remarks=remarks(gallery),
            kinds=_kind_rows(gallery),
            grey_share=(value_of(gallery, "grey_share", MEI, "reference") or (None,))[0],
            figures=gallery_figures(gallery),
            validated=_validated(gallery),
            left_out=_left_out(len(shown), len(views)),
            units=list(_units(shown, uris, _validated(gallery), progress)),
            digest=digest,
            lineage=gallery.lineage.to_dicts(),
            versions=gallery.versions.to_dicts(),
            style=Markup(text("page.css") + text("quality.css") + text("gallery.css")),
        )
    )
    return unbroken(page.strip()) + "\n"


def gallery_figures(gallery: Gallery) -> list[Figure]:
    """Return every figure that the data allow."""
    images, curves = gallery.images, gallery.curves
    looks = looks_of(images["what"])
    found = (
        beside_mei_figure(images, looks),
        validator_figure(images, looks),
        contrast_figure(curves, images, looks),
        displaced_figure(curves, looks),
        ascents_figure(images, looks),
    )
    return [figure for figure in found if figure is not None]


def picture_uri(picture: PictureView) -> str:
    """Return a picture as a data URI."""
    colors = None if picture.palette is None else palette(picture.palette)
    return data_uri("image/png", png(picture.pixels, colors))


def outline_path(edges: Sequence[Segment]) -> str:
    """Return the edges of a mask as an SVG path.

    Examples
    --------
    >>> outline_path([(1, 0, 3, 0), (3, 0, 3, 1)])
    'M1 0H3M3 0V1'
    """
    return "".join(f"M{x} {y}" + (f"H{u}" if y == v else f"V{v}") for x, y, u, v in edges)


def unbroken(said: str) -> str:
    """Keep numbers and their percent signs on one line."""
    return said.replace(" %", "\u00a0%")


def _units(
    views: Sequence[UnitView], uris: Sequence[Sequence[str]], validated: bool, progress: Told | None
) -> Iterator[Markup]:
    template = environment().get_template("gallery_unit.html.jinja")
    bars = {name: data_uri("image/png", bar_png(name)) for name in (FIELD_COLORS, HEAT_COLORS)}
    for place, (view, of) in enumerate(zip(views, uris, strict=False)):
        pictures = [
            {
                "view": picture,
                "uri": uri,
                "over": [(outline_path(one.edges), one) for one in picture.outlines],
            }
            for picture, uri in zip(view.pictures, of, strict=True)
        ]
        charts = {
            name: svg(*found) if found else None
            for name, found in (("contrast", view.contrast), ("displaced", view.displaced))
        }
        heat = view.heat and data_uri("image/png", png(view.heat.pixels, palette(HEAT_COLORS)))
        yield Markup(
            template.render(
                view=view,
                mark=MARKS[view.unit["verdict"]],
                word=VERDICTS[view.unit["verdict"]],
                marks=MARKS,
                pictures=pictures,
                rows=[_activation_row(row, view.span, validated) for row in view.rows],
                validated=validated,
                heat=heat,
                heat_bar=bars[HEAT_COLORS],
                field_bar=bars[FIELD_COLORS],
                **charts,
            )
        )
        if progress is not None:
            progress(place + 1, len(views), f"page: unit {place + 1} of {len(views)}")


def _activation_row(row: Any, span: tuple[float, float], validated: bool) -> dict[str, Any]:
    names = ["activation", "reference_activation"] + ["validator_activation"] * validated
    cells = [
        (name, row.image[name], None if row.image[name] is None else bar_svg(row.image[name], *span))
        for name in names
    ]
    return {"look": row.look, "title": row.title, "kept": row.kept, "cells": cells}


def _sheet_kind(gallery: Gallery) -> str:
    """Return the kind on the contact sheet: the MEI, else the first there is."""
    return next(iter(in_order(gallery.images["what"])), MEI)


def _thumb(view: UnitView, uris: Sequence[str], kind: str) -> dict[str, Any]:
    verdict = view.unit["verdict"]
    places = [place for place, picture in enumerate(view.pictures) if picture.what == kind]
    return {
        "slug": view.slug,
        "unit_id": view.unit["unit_id"],
        "verdict": verdict,
        "mark": "" if verdict == "ok" else MARKS[verdict],
        "why": " ".join(one["text"] for one in view.findings),
        "uri": uris[places[0]] if places else "",
        "alt": f"{view.pictures[places[0]].alt}; {VERDICTS[verdict]}" if places else "",
    }


def _listed(
    rows: Sequence[Mapping[str, Any]], slugs: Mapping[tuple[str, int], str]
) -> list[tuple[str, str, list[dict[str, Any]], bool]]:
    found = []
    for verdict, title in (("bad", "To leave out"), ("warn", "To look at")):
        of = [
            {**row, "slug": slugs[row["name"], row["unit_id"]]} for row in rows if row["verdict"] == verdict
        ]
        if of:
            found.append((title, verdict, of, len(of) > FOLDED))
    return found


def _rules(limits: Limits) -> str:
    return (
        f"A control beats an MEI if it exceeds its activation by more than {percent(limits.margin)}; masked "
        "controls compete with the masked MEI. ✗ leave out: no MEI, an ascent that broke off, networks that "
        "do not predict the unit, or a control that beats the MEI, for the comparing networks or for the "
        "validator. ! look at it: the validator reaches less than "
        f"{percent(limits.least_validator_share)} of the activation by the MEI, an ascent was still climbing "
        "when its steps ran out (it wants more: iterations in [images.procedure]), or the activation falls "
        "again as the contrast grows."
    )


def _kind_rows(gallery: Gallery) -> list[dict[str, Any]]:
    units = dict(gallery.kinds.select("what", "n_units").rows())
    found = []
    for what, look in looks_of(gallery.images["what"]).items():
        known = [(key, label, value_of(gallery, key, what, judge)) for key, judge, label in _CELLS]
        cells = [(key, label, None if value is None else value[0]) for key, label, value in known]
        found.append({"look": look, "n_units": units[what], "cells": cells})
    return found


def _validated(gallery: Gallery) -> bool:
    return gallery.images["validator_activation"].count() > 0


def _left_out(shown: int, units: int) -> str:
    if shown == units:
        return ""
    return f"The first {shown} of {units} units are shown; all are on the contact sheet and in the tables."


def _shape(views: Sequence[UnitView]) -> str:
    sizes = [picture.pixels.shape for view in views for picture in view.pictures[:1]]
    height, width = sizes[0] if sizes else (36, 64)
    return f"{width} / {height}"

"""The gallery as PNG: a contact sheet of all units, and a panel a unit."""

from __future__ import annotations

import io
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from inception_loop.report.figures.canvas import FAINT, INK, PAPER
from inception_loop.report.gallery.charts import HEIGHT, WIDTH, Chart, Point, bar_ends
from inception_loop.report.gallery.kinds import MEI, title_of
from inception_loop.report.gallery.pictures import HEAT_COLORS, LEVELS, Bytes, GreyScale, palette
from inception_loop.report.gallery.views import MARKS, VERDICTS, PictureView, RowView, UnitView
from inception_loop.report.words import count, number

Told = Callable[[int, int, str], None]
SOFT = "#52606d"
TONES = {"ok": "#00694d", "warn": "#b35900", "bad": "#b3261e"}
_ZOOM, _ACROSS, _GAP, _MARGIN = 3, 5, 14, 18
_SHEET_ZOOM, _SHEET_ACROSS, _SHEET_MOST = 2, 10, 300
_ROW, _LETTER, _LINE, _CAPTION = 20, 13, 17, 52
_MASKS = 3  # named below their picture; the page names all
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of the files in the archive: the same gallery gives the same bytes


def contact_sheet(views: Sequence[UnitView], scale: GreyScale, kind: str = MEI) -> bytes:
    """Return all images of a kind as one PNG, each with its unit and the mark of its verdict."""
    pictures = [next((one for one in view.pictures if one.what == kind), None) for view in views]
    height, width = next((one.pixels.shape for one in pictures if one is not None), (36, 64))
    zoom = _SHEET_ZOOM if len(views) <= _SHEET_MOST else 1
    box, line = (width * zoom, height * zoom), 16
    down = -(-max(len(views), 1) // _SHEET_ACROSS)
    size = (_MARGIN + _SHEET_ACROSS * (box[0] + 8), _MARGIN + down * (box[1] + line + 6) + line)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, (view, picture) in enumerate(zip(views, pictures, strict=True)):
        x = _MARGIN // 2 + place % _SHEET_ACROSS * (box[0] + 8)
        y = _MARGIN // 2 + place // _SHEET_ACROSS * (box[1] + line + 6)
        if picture is None:
            pen.rectangle((x, y, x + box[0] - 1, y + box[1] - 1), outline=FAINT)
        else:
            sheet.paste(_image(picture.pixels, None, zoom), (x, y))
        verdict = view.unit["verdict"]
        if verdict != "ok":
            pen.rectangle((x - 2, y - 2, x + box[0] + 1, y + box[1] + 1), outline=TONES[verdict], width=2)
        said = f"{view.unit['unit_id']}" + ("" if verdict == "ok" else f" {MARKS[verdict]}")
        pen.text(
            (x + 1, y + box[1] + 1), said, fill=INK if verdict == "ok" else TONES[verdict], font=_font(11)
        )
    said = (
        f"{title_of(kind)} of {count(len(views), 'unit')}, by unit number. One grey scale: {scale.words()}."
    )
    marks = "".join(f" {MARKS[verdict]} {VERDICTS[verdict]}." for verdict in ("warn", "bad"))
    pen.text((_MARGIN // 2, size[1] - line - 3), said + marks, fill=SOFT, font=_font(10))
    return _png(sheet)


def within(sheet: bytes, limit: int) -> bytes:
    """Return a contact sheet as a PNG of at most so many bytes, with fewer grey levels if need be.

    For places that take small pictures only. Greys are rounded to 250 levels (nobody sees that), or to
    64, 32, 16 or 8; what is still too large is halved.
    """
    image = Image.open(io.BytesIO(sheet)).convert("RGB")
    for shown in (image, image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)):
        for greys in (250, 64, 32, 16, 8):
            if len(sheet) <= limit:
                return sheet
            sheet = _png(_few_greys(shown, greys), level=9)
    return sheet


def _few_greys(image: Image.Image, greys: int) -> Image.Image:
    """Return a picture in so many greys and the colours of verdicts."""
    tones = [ImageColor.getrgb(tone)[:3] for tone in TONES.values()]
    pixels, levels = np.asarray(image), np.linspace(0, 255, greys).round().astype(np.uint8)
    indices = np.rint(np.asarray(image.convert("L")) * ((greys - 1) / 255)).astype(np.uint8)
    for place, tone in enumerate(tones):
        indices[(pixels == tone).all(2)] = greys + place
    found = Image.fromarray(indices).convert("P")
    found.putpalette([*levels.repeat(3).tolist(), *(channel for tone in tones for channel in tone)])
    return found


def write_panels(
    views: Sequence[UnitView], scale: GreyScale, most: int | None = None, progress: Told | None = None
) -> bytes:
    """Return a ZIP archive of PNG panels, named by place and unit.

    Parameters
    ----------
    views, scale
        The units, and the grey scale of all images.
    most
        So many at most.
    progress
        Told ``(done, total, text)`` unit by unit.
    """
    buffer, shown = io.BytesIO(), views[:most]
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for place, view in enumerate(shown):
            entry = zipfile.ZipInfo(panel_name(view), _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, panel(view, scale))
            if progress is not None:
                progress(place + 1, len(shown), f"panels: unit {place + 1} of {len(shown)}")
    return buffer.getvalue()


def panel_name(view: UnitView) -> str:
    """Return the file name of a unit's panel."""
    return f"{view.unit['place']:03d}_{view.slug}.png"


def panel(view: UnitView, scale: GreyScale) -> bytes:
    """Return one unit as a PNG: its images, the activations by them, its curves."""
    tallest = max((one.pixels.shape for one in view.pictures), default=(36, 64))
    box = (tallest[1] * _ZOOM, tallest[0] * _ZOOM)
    width = 2 * _MARGIN + _ACROSS * (box[0] + _GAP) - _GAP
    down = -(-max(len(view.pictures), 1) // _ACROSS)
    said = list(_wrapped_findings(view, width - 2 * _MARGIN))
    top = 60 + _LINE * len(said)
    charts_at = top + down * (box[1] + _CAPTION) + 8
    rows_high = (len(view.rows) + 1) * _ROW + 6
    charts = [found[0] for found in (view.contrast, view.displaced) if found]
    chart_high = int(HEIGHT * 1.3) if charts or view.heat else 0
    canvas = Image.new("RGB", (width, charts_at + rows_high + chart_high + 30), PAPER)
    pen = ImageDraw.Draw(canvas)
    _heading(pen, view)
    for line, (text, tone) in enumerate(said):
        pen.text((_MARGIN, 54 + _LINE * line), text, fill=tone, font=_font(12))
    for place, picture in enumerate(view.pictures):
        x = _MARGIN + place % _ACROSS * (box[0] + _GAP)
        _picture(canvas, pen, picture, (x, top + place // _ACROSS * (box[1] + _CAPTION)))
    _activations(pen, view, (_MARGIN, charts_at), width - 2 * _MARGIN)
    x, y = _MARGIN, charts_at + rows_high
    for chart in charts:
        _chart(pen, chart, (x, y), 1.3)
        x += int(WIDTH * 1.3) + 10
    if view.heat is not None:
        _heat(canvas, pen, view, (x, y + 10))
    pen.text((_MARGIN, canvas.height - 20), f"One grey scale: {scale.words()}.", fill=SOFT, font=_font(10))
    return _png(canvas)


def _heading(pen: ImageDraw.ImageDraw, view: UnitView) -> None:
    verdict = view.unit["verdict"]
    pen.text((_MARGIN, 10), view.title, fill=INK, font=_font(17, bold=True))
    end = _MARGIN + pen.textlength(view.title, font=_font(17, bold=True)) + 14
    said = f"{MARKS[verdict]} {VERDICTS[verdict]}"
    pen.text((end, 12), said, fill=TONES[verdict], font=_font(14, bold=True))
    pen.text((_MARGIN, 34), view.note, fill=SOFT, font=_font(12))


def _wrapped_findings(view: UnitView, width: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of a unit's findings and their colour."""
    letter = _font(12).getlength("n")
    for one in view.findings:
        lines = textwrap.wrap(
            f"{MARKS[one['severity']]} {one['text']}", int(width / letter), subsequent_indent="   "
        )
        yield from ((line, TONES[one["severity"]]) for line in lines)


def _picture(canvas: Image.Image, pen: ImageDraw.ImageDraw, one: PictureView, at: tuple[int, int]) -> None:
    x, y = at
    shown = _image(one.pixels, one.palette, _ZOOM)
    canvas.paste(shown, at)
    ends = (x - 2, y - 2, x + shown.width + 1, y + shown.height + 1)
    pen.rectangle(ends, outline=one.color, width=2)
    for mask in one.outlines:
        for width, ink in ((3, "#000000"), (1, mask.color)):
            for start_x, start_y, end_x, end_y in mask.edges:
                line = (x + start_x * _ZOOM, y + start_y * _ZOOM, x + end_x * _ZOOM, y + end_y * _ZOOM)
                pen.line(line, fill=ink, width=width)
    for place, mask in enumerate(one.outlines[:_MASKS]):
        top = y + shown.height + 4 + 14 * place
        pen.rectangle((x, top + 2, x + 9, top + 11), fill=mask.color, outline="#000000")
        pen.text((x + 14, top), mask.text, fill=INK, font=_font(10))
    said = " ".join(part for part in (one.mark, one.title) if part)
    pen.text((x, y + shown.height + 4), said, fill=INK, font=_font(11, bold=True))
    pen.text((x, y + shown.height + 18), one.note, fill=INK, font=_font(11))


def _activations(pen: ImageDraw.ImageDraw, view: UnitView, at: tuple[int, int], width: int) -> None:
    """Draw numbers and bars: a row an image, a column a judge."""
    x, y = at
    judges = {"activation": "own networks", "reference_activation": "comparing networks"}
    if any(row.image["validator_activation"] is not None for row in view.rows):
        judges["validator_activation"] = "validator"
    label = 250
    step = (width - label) // len(judges)
    for place, title in enumerate(judges.values()):
        pen.text((x + label + place * step, y), f"activation, {title}", fill=SOFT, font=_font(11))
    for line, row in enumerate(view.rows, 1):
        at_y = y + line * _ROW
        pen.text((x, at_y), row.look.mark, fill=row.look.color, font=_font(12, bold=True))
        pen.text((x + 22, at_y), row.title, fill=INK, font=_font(12))
        for place, judge in enumerate(judges):
            _bar(pen, row, row.image[judge], view.span, (x + label + place * step, at_y), step - 74)


def _bar(
    pen: ImageDraw.ImageDraw,
    row: RowView,
    value: float | None,
    span: tuple[float, float],
    at: tuple[int, int],
    long: int,
) -> None:
    x, y = at
    pen.text((x, y), "–" if value is None else number(value), fill=INK, font=_font(12))
    if value is not None:
        start, end = (x + 52 + long * part / 100 for part in bar_ends(value, *span))
        pen.rectangle((start, y + 2, max(end, start + 1), y + 12), fill=row.look.color)


def _chart(pen: ImageDraw.ImageDraw, chart: Chart, at: tuple[int, int], zoom: float) -> None:
    def place(point: Point) -> Point:
        return at[0] + zoom * point[0], at[1] + zoom * point[1]

    corner = [
        place((chart.left, chart.top)),
        place((chart.left, chart.bottom)),
        place((chart.right, chart.bottom)),
    ]
    pen.line(corner, fill=FAINT)
    for x, text in chart.x_ticks:
        pen.text(place((x, chart.bottom + 3)), text, fill=SOFT, font=_font(_LETTER - 2), anchor="mt")
    for y, text in chart.y_ticks:
        pen.text(place((chart.left - 4, y)), text, fill=SOFT, font=_font(_LETTER - 2), anchor="rm")
    middle = (chart.left + chart.right) / 2
    pen.text(
        place((middle, chart.bottom + 16)), chart.x_label, fill=SOFT, font=_font(_LETTER - 2), anchor="mt"
    )
    pen.text(place((chart.left - 4, chart.top - 16)), chart.y_label, fill=SOFT, font=_font(_LETTER - 2))
    if chart.at is not None:
        _dashed(pen, [place((chart.at, chart.top)), place((chart.at, chart.bottom))], INK, "2 3", 1)
    for look, points in chart.paths:
        _dashed(pen, [place(point) for point in points], look.color, look.dash, 2)
    for look, point, end in chart.marks:
        x, y = place(point)
        pen.line([place(end), (x, y)], fill=look.color)
        font = _font(_LETTER - 2, bold=True)
        pen.text((x + 2, y), look.mark, look.color, font, "lm", stroke_width=2, stroke_fill=PAPER)


def _dashed(pen: ImageDraw.ImageDraw, points: Sequence[Point], color: str, dash: str, width: int) -> None:
    """Draw a line with a pattern as SVG writes it: lengths of strokes and gaps in turn."""
    if not dash:
        pen.line(list(points), fill=color, width=width, joint="curve")
        return
    corners = np.array(points)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    lengths = [1.3 * float(length) for length in dash.split()]
    start, turn = 0.0, 0
    while start < along[-1]:
        end = min(start + lengths[turn % len(lengths)], float(along[-1]))
        if turn % 2 == 0:
            inner = along[(along > start) & (along < end)]
            stops = np.array([start, *inner, end])
            line = [
                (float(np.interp(s, along, corners[:, 0])), float(np.interp(s, along, corners[:, 1])))
                for s in stops
            ]
            pen.line(line, fill=color, width=width)
        start, turn = end, turn + 1


def _heat(canvas: Image.Image, pen: ImageDraw.ImageDraw, view: UnitView, at: tuple[int, int]) -> None:
    if view.heat is None:
        return
    zoom = max(1, 132 // view.heat.pixels.shape[0])
    shown = _image(view.heat.pixels, HEAT_COLORS, zoom)
    canvas.paste(shown, at)
    bar = _image(np.arange(LEVELS, dtype=np.uint8)[None], HEAT_COLORS, 1).resize((shown.width, 6))
    canvas.paste(bar, (at[0], at[1] + shown.height + 4))
    lines = (
        f"{view.heat.title} displaced",
        f"by up to ±{view.heat.reach} px:",
        "0 to 100 % of its activation",
    )
    for line, text in enumerate(lines):
        pen.text((at[0], at[1] + shown.height + 14 + 13 * line), text, fill=SOFT, font=_font(11))


def _image(pixels: Bytes, colors: str | None, zoom: int) -> Image.Image:
    shown = pixels if colors is None else palette(colors)[pixels]
    return Image.fromarray(shown.repeat(zoom, 0).repeat(zoom, 1)).convert("RGB")


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def _png(image: Image.Image, level: int = 6) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()

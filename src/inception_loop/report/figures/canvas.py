"""How every figure looks: size, colours, and the way to SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas

INK, FAINT, PAPER = "#1f2933", "#9aa5b1", "#ffffff"
COLORS = {
    "mei": "#0072b2",
    "cnn": "#0072b2",
    "linear": "#d55e00",
    "natural": "#009e73",
    "gabor": "#e69f00",
    "masked_mei": "#56b4e9",
    "masked_natural": "#00664b",
    "truth": "#cc79a7",
    "other": FAINT,
}
"""Okabe–Ito: told apart by colour-blind people; each also has its own marker."""
MARKERS = {
    "mei": "o",
    "cnn": "o",
    "linear": "s",
    "natural": "^",
    "gabor": "P",
    "masked_mei": "h",
    "masked_natural": "v",
    "truth": "D",
    "other": "|",
}
NAMES = {
    "mei": "MEI",
    "cnn": "CNN",
    "linear": "linear RF image",
    "natural": "best natural image",
    "truth": "true best image",
    "gabor": "best Gabor",
    "masked_mei": "masked MEI",
    "masked_natural": "best masked natural image",
}

_STYLE: dict[Any, Any] = {  # matplotlib types each key by itself
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 1.4,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name with dollars is a name
    "svg.hashsalt": "inception-loop",
    "image.interpolation": "nearest",
}
_DPI = 160


@dataclass(frozen=True)
class Figure:
    """A finished figure.

    Attributes
    ----------
    name : unique in a report
    svg : the picture; the same data give the same bytes
    alt : what it shows, for who cannot see it
    caption : one or two sentences under it
    tall : whether it is as tall as two others
    bad : what a bad one would look like; empty where the caption says it all
    drawn : what it was drawn as, to have it in another format
    """

    name: str
    svg: bytes
    alt: str
    caption: str
    tall: bool = False
    bad: str = ""
    drawn: Canvas | None = field(default=None, repr=False, compare=False)

    def png(self, dpi: int = 300) -> bytes:
        """Return the picture as PNG, for slides; the same data give the same bytes.

        Raises
        ------
        ValueError
            If it was not drawn in this process.
        """
        if self.drawn is None:
            raise ValueError(f"the figure {self.name} was not drawn here; expected one fresh from its data")
        buffer = io.BytesIO()
        with mpl.rc_context(_STYLE):
            self.drawn.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        return buffer.getvalue()


@contextmanager
def canvas(width: float = 4.4, height: float = 3.4, **options: Any) -> Iterator[tuple[Canvas, Axes]]:
    """Yield a matplotlib figure with one axes, in the style of the report; sizes in inches."""
    from matplotlib.figure import Figure as Canvas  # heavy, and every command would pay for it

    with mpl.rc_context(_STYLE):
        figure = Canvas(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(**options)


def whole_numbers(axis: Axis, bins: int | Literal["auto"] = "auto") -> None:
    """Write whole numbers alone at an axis."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, nbins=bins))


def finish(figure: Canvas, name: str, alt: str, caption: str, *, tall: bool = False, bad: str = "") -> Figure:
    """Turn a matplotlib figure into SVG without a date or a version in it."""
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(
            buffer,
            format="svg",
            dpi=_DPI,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return Figure(name, buffer.getvalue(), alt, caption, tall, bad, figure)

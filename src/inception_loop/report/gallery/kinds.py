"""Kinds of images in a gallery: what a person calls them, how they are told apart, what they compete with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MEI = "mei"
MASK = "mask"
TITLES = {
    MEI: "MEI",
    "grad_rf": "linear RF image",
    "masked_mei": "masked MEI",
    "best_tight_masked_imagenet": "best masked natural image",
    "best_natural_image": "best natural image",
    "best_gabor": "best Gabor",
    "optimal_gabor": "optimal Gabor",
    "diverse_mei": "diverse MEI",
    "surround_mei": "MEI with surround",
    "inhibiting_surround_mei": "suppressing-surround MEI",
    "inhibiting_mei": "most inhibiting image",
    "tight_mei_mask": "tight mask",
    "mei_mask": "MEI mask",
    "gaussian_mask": "Gaussian mask",
}
"""In the order in which they are shown; kinds that are not named here follow by their name."""
USUAL = tuple(TITLES)[:7]
"""What a whole experiment has; a gallery says which of them it lacks."""
USUAL_MASKS = ("tight_mei_mask",)
ENDED = {
    "converged": "converged",
    "iterations": "out of steps",
    "zero_gradient": "without a gradient",
    "not_finite": "with an activation that is no number",
}
"""Why an ascent stopped → how a person says that it ended."""
# Okabe-Ito as far as it reaches, darkened where it is text; each also has its number, and lines their dashes.
_COLORS = {
    MEI: "#0072b2",
    "grad_rf": "#d55e00",
    "masked_mei": "#3f97d3",
    "best_tight_masked_imagenet": "#4b8f29",
    "best_natural_image": "#009e73",
    "best_gabor": "#b8860b",
    "optimal_gabor": "#7a5c00",
    "diverse_mei": "#b8558c",
    "surround_mei": "#882255",
    "inhibiting_surround_mei": "#332288",
    "inhibiting_mei": "#52606d",
}
_OTHERS = ("#117733", "#aa4499", "#444444")
_DASHES = ("", "6 2", "2 2", "8 2 2 2")


@dataclass(frozen=True)
class Look:
    """How a kind of image is shown.

    Attributes
    ----------
    what, title : its key and what a person calls it
    mark : its number on the page
    color, dash : of its frames, bars and lines (SVG dash array; empty: a full line)
    """

    what: str
    title: str
    mark: str
    color: str
    dash: str


def title_of(what: str) -> str:
    """Return what a person calls a kind of image.

    Examples
    --------
    >>> title_of("best_gabor"), title_of("texture_image")
    ('best Gabor', 'texture image')
    """
    return TITLES.get(what, what.replace("_", " "))


def excites(what: str) -> bool:
    """Whether images of a kind are to excite: of what inhibits, no share is kept and no curve rises.

    An MEI is still to excite in a surround that suppresses.

    Examples
    --------
    >>> excites("best_gabor"), excites("inhibiting_mei"), excites("inhibiting_surround_mei")
    (True, False, True)
    """
    return not what.startswith("inhibiting_") or what == "inhibiting_surround_mei"


def ended_words(counts: Mapping[str, int]) -> str:
    """Say how ascents ended: reason → how many.

    Examples
    --------
    >>> ended_words({"converged": 57, "iterations": 2})
    '57 converged, 2 out of steps'
    """
    return ", ".join(f"{n} {ENDED.get(reason, reason.replace('_', ' '))}" for reason, n in counts.items())


def in_order(kinds: Iterable[str]) -> list[str]:
    """Return kinds in the order in which they are shown, each once.

    Examples
    --------
    >>> in_order(["zebra", "best_gabor", "mei"])
    ['mei', 'best_gabor', 'zebra']
    """
    order = list(TITLES)
    return sorted(set(kinds), key=lambda what: (order.index(what) if what in order else len(order), what))


def looks_of(kinds: Iterable[str]) -> dict[str, Look]:
    """Give every kind its number, colour and dash."""
    ordered = in_order(kinds)
    fallback = [what for what in ordered if what not in _COLORS]
    return {
        what: Look(
            what,
            title_of(what),
            str(place + 1),
            _COLORS.get(what) or _OTHERS[fallback.index(what) % len(_OTHERS)],
            _DASHES[place % len(_DASHES)],
        )
        for place, what in enumerate(ordered)
    }


def rivals_of(kinds: Iterable[str]) -> Mapping[str, str]:
    """Say which kinds an MEI must beat: control → the image that it is a control of.

    Masked controls compete with the masked MEI where there is one. Images made from an MEI, and those of
    another objective, are no rivals of it: kinds that have the word ``mei`` in their name.

    Examples
    --------
    >>> dict(rivals_of(["mei", "masked_mei", "best_gabor", "best_tight_masked_imagenet", "diverse_mei"]))
    {'best_tight_masked_imagenet': 'masked_mei', 'best_gabor': 'mei'}
    """
    given = in_order(kinds)
    masked = "masked_mei" if "masked_mei" in given else MEI
    return {
        what: masked if "masked" in what.split("_") else MEI
        for what in given
        if "mei" not in what.split("_") and MEI in given
    }

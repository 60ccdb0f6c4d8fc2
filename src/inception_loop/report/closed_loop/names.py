"""What the comparisons of a loop are called, for people."""

from __future__ import annotations

from collections.abc import Mapping

from inception_loop.closed_loop.diagonal import OWN, Control

OWN_NAMES: Mapping[str, str] = {"cnn": "own MEI", "masked_cnn": "own masked MEI"}
CONTROL_NAMES: Mapping[Control, str] = {
    "linear": "own linear RF image",
    "natural": "own best natural image",
    "gabor": "own best Gabor",
    "masked_natural": "own best masked natural image",
}
PLURALS: Mapping[Control, str] = {
    "linear": "linear RF images",
    "natural": "best natural images",
    "gabor": "best Gabors",
    "masked_natural": "masked natural images",
}
PICTURES = {
    "cnn": "mei",
    "linear": "linear",
    "gabor": "gabor",
    "natural": "natural",
    "masked_cnn": "masked_mei",
    "masked_natural": "masked_natural",
}
"""``model_type`` → what figures call the image, in the order of display."""


def compared_names(control: Control) -> tuple[str, str]:
    """Return what the own image and its control are called.

    Examples
    --------
    >>> compared_names("masked_natural")
    ('own masked MEI', 'own best masked natural image')
    """
    return OWN_NAMES[OWN[control]], CONTROL_NAMES[control]


def comparison_key(control: Control) -> str:
    """Return the beginning of the keys of a comparison in the table of tests.

    Examples
    --------
    >>> comparison_key("linear"), comparison_key("masked_natural")
    ('cnn_linear', 'masked_cnn_masked_natural')
    """
    return f"{OWN[control]}_{control}"

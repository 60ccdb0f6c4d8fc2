"""Which images the stage *mei* makes for the wanted units, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.images.ascent.procedure import Fast, Procedure
from inception_loop.images.gabors.grid import GaborGrid
from inception_loop.images.judging import Judging
from inception_loop.images.masks.tight import Keep, TightRule
from inception_loop.images.masks.whole import OutlineRule
from inception_loop.images.natural.masked_group import Screen
from inception_loop.images.natural.searched import Which
from inception_loop.images.network import Precision
from inception_loop.training.modes import Held

ImageName = Literal[
    "linear_rf",
    "natural",
    "gabor",
    "optimal_gabor",
    "masked",
    "mei_mask",
    "gaussian_mask",
    "inhibiting",
    "diverse",
    "surround",
    "suppressing_surround",
]
"""Images beside the MEI; ``masked``: MEI and best natural image, both through the MEI's tight mask."""

MADE: dict[ImageName, tuple[str, ...]] = {
    "linear_rf": ("grad_rf",),
    "natural": ("best_natural_image",),
    "gabor": ("best_gabor",),
    "masked": ("masked_mei", "best_tight_masked_imagenet"),
}
"""Kinds of those images that a stimulus set may show, beside ``mei``."""


class ImageRules(Config):
    """How images are made for the wanted units.

    Examples
    --------
    >>> sorted(ImageRules(also=("gabor", "linear_rf")).kinds)
    ['best_gabor', 'grad_rf', 'mei']
    """

    also: tuple[ImageName, ...] = Field(
        ("linear_rf", "natural", "gabor", "masked"), description="Images that are made beside the MEI."
    )
    leave_out: tuple[str, ...] = Field(
        (), description="Units to make no images for, as errors name them: scan/unit_id."
    )
    procedure: Procedure = Field(Fast(), description="How an MEI is synthesised.")
    eye: Held = Field("training_mean", description="Where the animal looks.")
    behavior: Held = Field("none", description="Its pupil and running; none: no gain at all.")
    precision: Precision = Field("float32", description="Of the convolutions while images are made.")
    gabors: GaborGrid = Field(GaborGrid(), description="The Gabors that are searched.")
    mask: int = Field(0, ge=0, le=4, description="Published parameter set of the tight mask.")
    mask_keep: Keep = Field(
        "last_above", description="The last tight mask that keeps the ratio, or the first that does not."
    )
    mask_rule: TightRule | None = Field(None, description="Values of one's own instead.")
    outline: OutlineRule = Field(OutlineRule(), description="How the MEI mask is drawn, if it is.")
    searched: Which = Field(Which(), description="Which of the pictures are searched.")
    distinct: bool = Field(
        False, description="Whether every unit of a batch gets a natural image of its own (unmasked)."
    )
    screen: Screen = Field(Screen(), description="How thoroughly the masked search looks.")
    diverse: int = Field(4, ge=2, description="Images of a diverse set.")
    share: float = Field(0.85, gt=0, lt=1, description="Of the MEI's activation, that each of them reaches.")
    batch: int = Field(32, ge=1, description="Units a batch; membership is part of an image's identity.")
    judging: Judging = Field(Judging(), description="What is measured of every image.")
    seed: int = Field(1, ge=0, description="Seed of the noise that ascents start from.")

    @property
    def kinds(self) -> set[str]:
        """Kinds of images that a stimulus set may show."""
        return {"mei", *(kind for name in self.also for kind in MADE.get(name, ()))}

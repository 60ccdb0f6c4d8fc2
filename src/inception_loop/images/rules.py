"""Which images the stage *mei* makes for the wanted units, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.images.gabor_grid import GaborGrid
from inception_loop.images.judging import Judging
from inception_loop.images.procedure import Fast, Procedure
from inception_loop.images.searched import Which

ImageName = Literal[
    "linear_rf",
    "natural",
    "gabor",
    "optimal_gabor",
    "masked",
    "inhibiting",
    "diverse",
    "surround",
]
"""Images beside the MEI; ``masked``: MEI and best natural image, both through the MEI's tight mask."""


class ImageRules(Config):
    """How images are made for the wanted units."""

    also: tuple[ImageName, ...] = Field(
        ("linear_rf", "natural", "gabor", "masked"), description="Images that are made beside the MEI."
    )
    procedure: Procedure = Field(Fast(), description="How an MEI is synthesised.")
    gabors: GaborGrid = Field(GaborGrid(), description="The Gabors that are searched.")
    mask: int = Field(0, ge=0, le=4, description="Published parameter set of the tight mask.")
    searched: Which = Field(Which(), description="Which of the dataset's images are searched.")
    batch: int = Field(32, ge=1, description="Units a batch; membership is part of an image's identity.")
    judging: Judging = Field(Judging(), description="What is measured of every image.")
    seed: int = Field(1, ge=0, description="Seed of the noise that ascents start from.")

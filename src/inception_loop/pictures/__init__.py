"""Images that need no network: Gabors, dead leaves, crops of bundled photographs."""

from inception_loop.pictures.dead_leaves import dead_leaves
from inception_loop.pictures.gabor import gabor
from inception_loop.pictures.natural import NaturalImages, natural_images, split_photographs
from inception_loop.pictures.photographs import PHOTOGRAPHS, photograph

__all__ = [
    "PHOTOGRAPHS",
    "NaturalImages",
    "dead_leaves",
    "gabor",
    "natural_images",
    "photograph",
    "split_photographs",
]

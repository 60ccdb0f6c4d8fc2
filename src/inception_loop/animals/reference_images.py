"""The natural images over which the animals' drives and noise are scaled."""

from __future__ import annotations

from functools import lru_cache

from inception_loop.animals.cells import HEIGHT, WIDTH
from inception_loop.animals.population import Float32s
from inception_loop.pictures.natural import area_average, natural_images

REFERENCE_IMAGES = 300


@lru_cache(maxsize=1)
def reference_images() -> Float32s:
    """Return 300 natural images (300, 36, 64) in grey levels, always the same."""
    images = natural_images(REFERENCE_IMAGES, height=2 * HEIGHT, width=2 * WIDTH, seed=20190513)
    grey = area_average(images.pixels, HEIGHT, WIDTH)
    grey.setflags(write=False)
    return grey

"""The photographs that come inside the wheels of scikit-image and scikit-learn: no download, ever."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import skimage.data

from inception_loop.errors import ConfigurationError

GREY = np.array([0.2125, 0.7154, 0.0721])  # luminance weights of the sRGB primaries (ITU-R BT.709)

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cat",
    "china",
    "coffee",
    "coins",
    "flower",
    "grass",
    "gravel",
    "moon",
    "motorcycle",
    "rocket",
)
"""Names of the photographs, each one source. The right half of the motorcycle's stereo pair is left out:
it is the same scene and would leak."""


@lru_cache(maxsize=len(PHOTOGRAPHS))
def photograph(name: str) -> npt.NDArray[np.float32]:
    """Return one bundled photograph in grey levels 0..255, (height, width) float32, read-only.

    Raises
    ------
    ConfigurationError
        If no photograph has this name.

    Examples
    --------
    >>> photograph("camera").shape
    (512, 512)
    """
    if name not in PHOTOGRAPHS:
        raise ConfigurationError(f"no photograph {name!r}; expected one of {', '.join(PHOTOGRAPHS)}")
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image  # heavy, and every command would pay for it

        pixels = load_sample_image(f"{name}.jpg")
    elif name == "motorcycle":
        pixels = skimage.data.stereo_motorcycle()[0]  # type: ignore[no-untyped-call]
    else:
        pixels = getattr(skimage.data, name)()
    grey = np.asarray(pixels @ GREY if pixels.ndim == 3 else pixels, dtype=np.float32)
    grey.setflags(write=False)
    return grey

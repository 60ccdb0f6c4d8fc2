"""Identity of a stimulus condition: what was on the monitor and for how long."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError


def condition_hash(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.float32], shown_s: float) -> str:
    """Return the content hash of an image and its presentation, 32 hex digits of a SHA-256.

    Parameters
    ----------
    pixels : (height, width) uint8 or float32
        Grey levels as sent to the monitor; float32 where only resized images were kept.
    shown_s : float
        How long the image is shown, in s (rounded to 0.1 ms).

    Raises
    ------
    RecordingError
        If the pixels are not one image of either type.

    Examples
    --------
    >>> grey = np.full((2, 4), 128, dtype=np.uint8)
    >>> condition_hash(grey, 0.5) == condition_hash(grey.copy(), 0.5), condition_hash(grey, 0.5)[:8]
    (True, 'de4c5984')
    """
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.float32):
        raise RecordingError(
            f"condition_hash got {pixels.dtype} of shape {pixels.shape}; "
            "expected one uint8 or float32 image (height, width)"
        )
    form = "" if pixels.dtype == np.uint8 else " float32"
    head = f"frame {pixels.shape[0]}x{pixels.shape[1]}{form} {shown_s:.4f}s\n".encode()
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return hashlib.sha256(head + little.tobytes()).hexdigest()[:32]

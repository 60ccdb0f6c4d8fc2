"""Identity of a stimulus condition: what was on the monitor and for how long."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from inception_loop.errors import RecordingError


def condition_hash(pixels: npt.NDArray[np.uint8], shown_s: float) -> str:
    """Return the content hash of an image and its presentation, 32 hex digits of a SHA-256.

    Parameters
    ----------
    pixels : (height, width) uint8
        Grey levels as sent to the monitor.
    shown_s : float
        How long the image is shown, in s (rounded to 0.1 ms).

    Raises
    ------
    RecordingError
        If the pixels are not one uint8 image.

    Examples
    --------
    >>> grey = np.full((2, 4), 128, dtype=np.uint8)
    >>> condition_hash(grey, 0.5) == condition_hash(grey.copy(), 0.5), condition_hash(grey, 0.5)[:8]
    (True, 'de4c5984')
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise RecordingError(
            f"condition_hash got {pixels.dtype} of shape {pixels.shape}; "
            "expected one uint8 image (height, width)"
        )
    head = f"frame {pixels.shape[0]}x{pixels.shape[1]} {shown_s:.4f}s\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:32]

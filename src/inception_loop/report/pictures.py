"""Pictures of images: small grey PNGs, stretched about their mean."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def stretched(pixels: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Return an (H, W) image as uint8: its mean becomes mid-grey, its largest deviation black or white.

    Examples
    --------
    >>> stretched(np.array([[100.0, 110.0, 90.0]])).tolist()
    [[128, 255, 1]]
    """
    deviation = np.asarray(pixels, dtype=np.float64) - np.mean(pixels)
    largest = float(np.abs(deviation).max(initial=0.0))
    scaled = deviation / largest if largest else deviation
    grey: npt.NDArray[np.uint8] = np.rint(128 + 127 * scaled).astype(np.uint8)
    return grey


def png(pixels: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8] | None = None) -> bytes:
    r"""Return an (H, W) uint8 image as a PNG, grey or in the colours of a (n, 3) palette.

    The same pixels give the same bytes.

    Examples
    --------
    >>> png(np.zeros((2, 3), np.uint8))[:4]
    b'\x89PNG'
    """
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if palette is None else 3, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))
    colors = [] if palette is None else [(b"PLTE", np.ascontiguousarray(palette).tobytes())]
    parts = ((b"IHDR", header), *colors, (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

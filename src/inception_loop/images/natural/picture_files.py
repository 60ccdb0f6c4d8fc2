"""Pictures as they lie on disk: photographs in a folder, or a stack of arrays; each with where it is from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from inception_loop.errors import DataError
from inception_loop.recordings import bounded
from inception_loop.recordings.files import files_of
from inception_loop.recordings.grey_levels import check_grey_levels

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
PHOTOGRAPHS = ("PNG", "JPEG", "TIFF")
WORDS_16_BIT = 257.0
"""65535 / 255: whole files of 16 bits are brought to grey levels 0..255 by their full scale."""

_BROKEN = (
    *(OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, MemoryError, OverflowError),
    *(RuntimeError, Image.DecompressionBombError, Image.DecompressionBombWarning),
)


class Picture(NamedTuple):
    """One picture.

    Attributes
    ----------
    source_id
        What it is from; images cut from one picture share it.
    pixels : (h, w) or (h, w, 3), uint8 or float32
        Grey levels, or red, green and blue, 0..255.
    """

    source_id: str
    pixels: Pixels


def check_pictures_there(path: Path) -> None:
    """Refuse a path at which no pictures can lie.

    Raises
    ------
    DataError
        If it is neither a folder with files nor a file.
    """
    if path.is_file() or (path.is_dir() and next(files_of(path), None) is not None):
        return
    found = "is empty" if path.is_dir() else "is a device or pipe" if path.exists() else "is not there"
    raise DataError(
        f"{path} {found}; expected a folder of PNG, JPEG or TIFF files, or one NPY or NPZ of images"
    )


def read_pictures(path: Path) -> Iterator[Picture]:
    """Yield the pictures of a folder in the order of the names, or of an NPY or NPZ in that of its rows.

    A folder may have folders inside; every page of a TIFF is a picture of its own. A stack is (K, h, w) or
    (K, h, w, 3), an NPZ has it under ``images`` (or as its only member) and may have ``source_id`` (K,).
    Never more than one picture of a folder is in memory; an NPY is mapped, an NPZ read whole.

    Parameters
    ----------
    path
        Folder or file.

    Raises
    ------
    DataError
        Naming the file that is no sound picture, or why: no grey or RGB picture, transparent, NaN.
    RecordingError
        If an array is damaged or pickled, or holds no grey levels 0..255.
    """
    check_pictures_there(path)
    if path.is_dir():
        for name, file in files_of(path):
            yield from _photographs(name, file)
    elif path.suffix.lower() in (".npy", ".npz"):
        yield from _stack(path)
    else:
        yield from _photographs("", path)  # known by its bytes, whatever it is called


def stacked(images: npt.NDArray[Any], source_id: list[str] | None, where: str) -> Iterator[Picture]:
    """Yield the pictures of a (K, h, w) or (K, h, w, 3) stack.

    Parameters
    ----------
    images
        Numbers 0..255.
    source_id
        K names; by default each picture is its own source, ``0``, ``1``, …
    where
        What an error begins with.

    Raises
    ------
    DataError, RecordingError
        If they are no grey levels, or the names do not fit.
    """
    colour = images.ndim == 4 and images.shape[3] == 3
    if not (images.ndim == 3 or colour) or images.size == 0 or images.dtype.kind not in "iuf":
        raise DataError(
            f"{where}: the images are {images.dtype} of shape {images.shape}; expected numbers of shape "
            "(images, height, width) or (images, height, width, 3), at least 1 image"
        )
    names = [str(row) for row in range(len(images))] if source_id is None else source_id
    if len(names) != len(images):
        raise DataError(f"{where}: {len(images)} images but {len(names)} source_id; expected one each")
    for name, pixels in zip(names, _grey_levels(images, where), strict=True):
        yield Picture(name, pixels)


def _grey_levels(images: npt.NDArray[Any], where: str) -> Iterator[Pixels]:
    """Yield checked pictures one after the other; a mapped stack stays on disk."""
    check_grey_levels(images.reshape(*images.shape[:2], -1), where)
    for picture in images:
        yield picture.astype(np.uint8) if images.dtype.kind in "iu" else picture.astype(np.float32)


def _stack(path: Path) -> Iterator[Picture]:
    if path.suffix.lower() == ".npy":
        yield from stacked(bounded.npy(path, mapped=True), None, str(path))
        return
    members = bounded.npz(path)
    name = "images" if "images" in members else next(iter(members)) if len(members) == 1 else None
    if name is None:
        raise DataError(
            f"{path} has the members {', '.join(sorted(members)) or 'none'}; expected one "
            "called images (K, height, width)"
        )
    sources = members.get("source_id")
    if sources is not None and (sources.ndim != 1 or sources.dtype.kind not in "Uiu"):
        raise DataError(
            f"{path}: source_id is {sources.dtype} of shape {sources.shape}; expected one text an image"
        )
    yield from stacked(members[name], None if sources is None else [str(s) for s in sources], str(path))


def _photographs(name: str, path: Path) -> Iterator[Picture]:
    try:
        with warnings.catch_warnings(action="error"), Image.open(path, formats=PHOTOGRAPHS) as file:
            pages = getattr(file, "n_frames", 1) if file.format == "TIFF" else 1
            for number, page in enumerate(ImageSequence.Iterator(file)):
                if number < pages:
                    source = name if name and pages == 1 else f"{name}#{number}"
                    yield Picture(source, _pixels(page, path))
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path} is no PNG, JPEG or TIFF; expected pictures and nothing else; move it elsewhere"
        ) from error
    except DataError:
        raise
    except (*_BROKEN, Warning) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{path} is not readable ({reason}); expected a whole picture; copy it again or leave it out"
        ) from error


def _pixels(page: Image.Image, path: Path) -> Pixels:
    page = ImageOps.exif_transpose(page)
    if page.has_transparency_data:
        alpha = np.asarray(page.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise DataError(f"{path} has transparent pixels; expected an opaque picture; flatten it")
        page = page.convert("RGB" if page.mode in ("RGBA", "P", "PA", "RGB") else "L")
    if page.mode.startswith("I"):
        return _sixteen_bits(np.asarray(page), path)
    if page.mode == "F":
        return next(_grey_levels(np.asarray(page, np.float32)[None], str(path)))
    if page.mode in ("1", "L"):
        return np.asarray(page.convert("L"))
    if page.mode in ("P", "RGB", "YCbCr"):
        return np.asarray(page.convert("RGB"))
    raise DataError(f"{path} has the colours {page.mode}; expected grey or RGB; convert it")


def _sixteen_bits(values: npt.NDArray[Any], path: Path) -> npt.NDArray[np.float32]:
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"{path} holds {values.min()} to {values.max()}; expected 8 or 16 bits; convert it")
    return np.asarray(values / WORDS_16_BIT, np.float32)

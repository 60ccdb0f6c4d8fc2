"""Any pictures put into the store as an artifact of their own, for searches to find images in."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.attempt import Progress
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.npz import Blocks
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.contrast import FLAT
from inception_loop.images.fitting import Fit, Floats, fitted
from inception_loop.images.natural.picture_files import Picture, check_pictures_there, read_pictures, stacked
from inception_loop.pictures.natural import natural_images
from inception_loop.recordings.files import content_digest, files_of

BLOCK = 1024  # images read back at a time
LEVELS = pa.float64()

IMAGE_SET = Kind(
    name="image_set",
    version=1,
    meaning="Pictures of any origin as grey images of the networks' size, each once.",
    payloads={
        "image_set": Table(
            {
                "content_hash": Column(pa.string(), "SHA-256 of the image's numbers; row = image"),
                "source_id": Column(pa.string(), "picture that it was cut from: a file, a page, a row"),
                "part": Column(pa.int64(), "which image of its picture it is, 0 first"),
                "img_mean": Column(LEVELS, "mean of the image, grey levels"),
                "contrast": Column(LEVELS, "RMS contrast of the image (ddof 0), grey levels"),
            }
        ),
        "images": Arrays(
            {"images": Array("float32", ("images", "height", "width"), "grey levels 0..255, as they were")}
        ),
    },
    partition=("name",),
)


class FileSource(Config):
    """Pictures from disk. The place of the files is no part of it, their bytes are."""

    type: Literal["files"] = "files"
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the file; of a folder: of all its files' names and SHA-256.",
    )


class ArraySource(Config):
    """Pictures from memory, known by their numbers and the names of their sources."""

    type: Literal["arrays"] = "arrays"
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="See `arrays_digest`.")


class BundledSource(Config):
    """Crops of the photographs that come with the libraries, and dead leaves; see `natural_images`."""

    type: Literal["bundled"] = "bundled"
    n: int = Field(5000, ge=1, description="Images.")
    seed: int = Field(1, ge=0, description="Of the choice of crops.")
    photograph_share: float = Field(0.4, ge=0, le=1, description="Share of the images from photographs.")


Source = FileSource | ArraySource | BundledSource


class ImageSetConfig(Config):
    """Which pictures, and how they become images."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="What a person calls the set."
    )
    source: Annotated[Source, Field(discriminator="type")] = Field(description="Where the pictures are from.")
    fit: Fit = Field(Fit(), description="How a picture becomes images.")


@dataclass(frozen=True)
class Stack:
    """Pictures in memory.

    Attributes
    ----------
    images : (K, h, w) or (K, h, w, 3) numbers 0..255
    source_id : K names, optional
        By default every picture is its own source.
    """

    images: npt.NDArray[Any]
    source_id: Sequence[str] | None = None

    def pictures(self) -> Iterator[Picture]:
        """Yield them; see `stacked`."""
        names = None if self.source_id is None else list(self.source_id)
        return stacked(self.images, names, "the stack")


def arrays_digest(stack: Stack) -> str:
    """Return the SHA-256 by which pictures in memory are known.

    Examples
    --------
    >>> zeros, other = (Stack(np.zeros((1, 2, 3), np.uint8), names) for names in (None, ["a"]))
    >>> arrays_digest(zeros) == arrays_digest(zeros), arrays_digest(zeros) == arrays_digest(other)
    (True, False)
    """
    images = stack.images.astype(stack.images.dtype.newbyteorder("<"), copy=False)
    names = None if stack.source_id is None else list(stack.source_id)
    sha = hashlib.sha256(f"{images.dtype.str} {images.shape} {names!r}\n".encode())
    for picture in images:
        sha.update(np.ascontiguousarray(picture).tobytes())
    return sha.hexdigest()


def import_image_set(
    store: ArtifactStore, pictures: Path | str | Stack, name: str, fit: Fit | None = None
) -> Outcome:
    """Bring pictures into a store: those at a path (see `read_pictures`), or a stack in memory.

    Examples
    --------
    >>> from inception_loop.artifacts.store import open_store
    >>> noise = np.random.default_rng(1).integers(0, 256, (4, 72, 128), dtype=np.uint8)
    >>> store = open_store("memory://doc-image-set")
    >>> made = import_image_set(store, Stack(noise[[0, 1, 2, 1]]), "noise")
    >>> made.ref.kind, store.arrays(made.ref, "images")["images"].shape
    ('image_set', (3, 36, 64))
    """
    config = image_set_config(pictures, name, fit)
    if isinstance(pictures, Stack):
        return make_image_set(store, config, stack=pictures)
    return make_image_set(store, config, path=pictures)


def image_set_config(pictures: Path | str | Stack, name: str, fit: Fit | None = None) -> ImageSetConfig:
    """Look at pictures and say what importing them means.

    Raises
    ------
    DataError, RecordingError
        If there are none, or a link leaves the folder.
    """
    if isinstance(pictures, Stack):
        return ImageSetConfig(name=name, source=ArraySource(sha256=arrays_digest(pictures)), fit=fit or Fit())
    check_pictures_there(Path(pictures))
    source = FileSource(sha256=content_digest(Path(pictures)))
    return ImageSetConfig(name=name, source=source, fit=fit or Fit())


def make_image_set(
    store: ArtifactStore,
    config: ImageSetConfig,
    *,
    path: str | Path | None = None,
    stack: Stack | None = None,
) -> Outcome:
    """Make an image set: read, turn grey, fit, leave out what is there already and what shows nothing.

    Findings: ``n_pictures`` read, ``n_colour`` of them, ``n_images`` kept, ``n_duplicates`` (exactly equal
    after fitting) and ``n_flat`` left out.

    Parameters
    ----------
    store, config
        Where and what.
    path
        Where the files lie; read only if the set is not there yet.
    stack
        The pictures in memory.

    Raises
    ------
    DataError, RecordingError
        If a picture cannot be read or fitted, or none is left; nothing is written then.
    ConfigurationError
        If what is given is not what the configuration names.
    """

    def build(attempt: Attempt) -> None:
        with tempfile.TemporaryFile() as spool:  # what is left of thousands of pictures is known at the end
            pictures = _pictures(config, path, stack)
            table, counts = _collect(pictures, config.fit, spool, attempt.progress, _expected(path, stack))
            _check_unchanged(config, path)
            shape = (table.height, config.fit.height, config.fit.width)
            attempt.write_table("image_set", table)
            attempt.write_arrays("images", {"images": Blocks(shape, np.float32, _read_back(spool, shape))})
        attempt.report(**counts, n_images=table.height, **({"source": Path(path).name} if path else {}))

    return store.make(IMAGE_SET, config, build)


def _pictures(config: ImageSetConfig, path: str | Path | None, stack: Stack | None) -> Iterator[Picture]:
    source, fit = config.source, config.fit
    if isinstance(source, BundledSource):
        made = natural_images(
            source.n,
            height=fit.height * fit.scale,
            width=fit.width * fit.scale,
            seed=source.seed,
            photograph_share=source.photograph_share,
        )
        return stacked(made.pixels, made.source_id, "the bundled pictures")
    if isinstance(source, FileSource) and path is not None:
        return read_pictures(Path(path))
    if isinstance(source, ArraySource) and stack is not None:
        found = arrays_digest(stack)
        if found != source.sha256:
            raise ConfigurationError(
                f"the stack has SHA-256 {found[:12]}…; expected {source.sha256[:12]}…, which the "
                "configuration names; give those pictures or make the configuration of these"
            )
        return stack.pictures()
    raise ConfigurationError(
        f"the set {config.name!r} is of {source.type} but none are given; expected path= for files, "
        "stack= for arrays"
    )


def _expected(path: str | Path | None, stack: Stack | None) -> int:
    """How many pictures there may be, for whoever watches; a file may hold several."""
    if stack is not None:
        return len(stack.images)
    return sum(1 for _ in files_of(Path(path))) if path is not None and Path(path).is_dir() else 1


def _check_unchanged(config: ImageSetConfig, path: str | Path | None) -> None:
    if isinstance(config.source, FileSource) and path is not None:
        found = content_digest(Path(path))
        if found != config.source.sha256:
            raise DataError(
                f"{path} has SHA-256 {found[:12]}…; expected {config.source.sha256[:12]}…, which the "
                "configuration names; leave files at rest and import again"
            )


def _collect(
    pictures: Iterator[Picture], fit: Fit, spool: IO[bytes], tell: Progress, expected: int
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Write the images to keep into a file and describe them."""
    rows: list[tuple[str, str, int, float, float]] = []
    seen: set[str] = set()
    counts = dict.fromkeys(("n_pictures", "n_colour", "n_duplicates", "n_flat"), 0)
    for source_id, pixels in pictures:
        counts["n_pictures"] += 1
        tell(counts["n_pictures"], max(expected, counts["n_pictures"]), "pictures")
        counts["n_colour"] += pixels.ndim == 3
        for part, image in enumerate(_fitted(pixels, fit, source_id)):
            level, contrast = float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64))
            digest = content_hash(image)
            if float(np.ptp(image)) <= FLAT:
                counts["n_flat"] += 1
            elif digest in seen:
                counts["n_duplicates"] += 1
            else:
                seen.add(digest)
                rows.append((digest, source_id, part, level, contrast))
                spool.write(image.tobytes())
    if not rows:
        raise DataError(
            f"of {counts['n_pictures']} pictures none shows anything ({counts['n_flat']} flat images); "
            "expected at least one picture with contrast; give others"
        )
    names = ("content_hash", "source_id", "part", "img_mean", "contrast")
    return pl.DataFrame(rows, schema=names, orient="row"), counts


def _fitted(pixels: npt.NDArray[np.generic], fit: Fit, source_id: str) -> Floats:
    try:
        return fitted(pixels, fit)
    except DataError as error:
        raise DataError(f"{source_id}: {error}") from error


def _read_back(spool: IO[bytes], shape: tuple[int, int, int]) -> Iterator[Floats]:
    spool.seek(0)
    pixels = shape[1] * shape[2]
    for start in range(0, shape[0], BLOCK):
        count = min(BLOCK, shape[0] - start)
        yield np.frombuffer(spool.read(4 * count * pixels), np.float32).reshape(count, *shape[1:])


def content_hash(image: Floats) -> str:
    """Return the content hash of one (height, width) float32 image, 32 hex digits of a SHA-256.

    Examples
    --------
    >>> content_hash(np.zeros((2, 3), np.float32)) == content_hash(np.zeros((3, 2), np.float32))
    False
    """
    head = f"{image.shape[0]}x{image.shape[1]} float32\n".encode()
    little = np.ascontiguousarray(image, np.dtype(np.float32).newbyteorder("<"))
    return hashlib.sha256(head + little.tobytes()).hexdigest()[:32]

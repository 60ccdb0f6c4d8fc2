"""What an animal is shown in one scan: images, conditions and the order of the trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.pictures.natural import NaturalImages, natural_images, split_photographs
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.recording import CONDITION_COLUMNS

NATURAL_CLASS = "natural"


@dataclass(frozen=True)
class Session:
    """Stimuli of one scan.

    Attributes
    ----------
    images : (K, h, w) uint8, grey levels as sent to the monitor
    conditions : table with the condition columns of a recording, ``image_row`` into ``images``
    order : (T,) int64, row of ``conditions`` shown in each trial
    shown_s : how long each image is shown, s
    """

    images: npt.NDArray[np.uint8]
    conditions: pl.DataFrame
    order: npt.NDArray[np.int64]
    shown_s: float = 0.5

    def __post_init__(self) -> None:
        missing = [c for c in CONDITION_COLUMNS if c not in self.conditions.columns]
        if missing:
            raise DataError(
                f"session conditions lack {missing[0]!r}; expected {', '.join(CONDITION_COLUMNS)}"
            )
        if len(self.order) == 0:
            raise DataError("a session has no trials; expected at least one presentation")
        if self.order.min() < 0 or self.order.max() >= self.conditions.height:
            raise DataError(
                f"a session shows condition rows {self.order.min()}..{self.order.max()}; "
                f"expected rows of a table of {self.conditions.height}"
            )

    def repeated(self) -> npt.NDArray[np.int64]:
        """Rows of ``conditions`` that are shown more than once, ascending."""
        return np.flatnonzero(np.bincount(self.order, minlength=self.conditions.height) > 1)


class NaturalSessionConfig(Config):
    """A day of natural images: many shown once, some repeated (the oracle images).

    Examples
    --------
    >>> NaturalSessionConfig(n_train=100).n_repeated
    40
    """

    n_train: int = Field(default=2400, ge=0, description="Images shown once.")
    n_repeated: int = Field(
        default=40, ge=0, description="Images shown several times, from sources of their own."
    )
    repeats: int = Field(default=10, ge=2, description="Presentations of each repeated image.")
    seed: int = Field(default=1, ge=0, description="Seed of images and order.")
    height: int = Field(default=72, ge=36, multiple_of=36, description="Height of the images on the rig, px.")
    width: int = Field(default=128, ge=64, multiple_of=64, description="Width of the images on the rig, px.")
    photograph_share: float = Field(
        default=0.4, ge=0, le=1, description="Share of images cut from photographs; the rest are dead leaves."
    )
    reserved_photographs: int = Field(
        default=3, ge=0, le=6, description="Photographs from which repeated images alone are cut."
    )


def natural_session(config: NaturalSessionConfig) -> Session:
    """Build a session of natural images; no source feeds both repeated and single images.

    The trials come in as many blocks as there are repeats; every block holds each repeated image once and its
    share of the single ones, in random order, so that slow changes of the animal do not side with an image.

    Raises
    ------
    ConfigurationError
        If there is nothing to show.

    Examples
    --------
    >>> session = natural_session(NaturalSessionConfig(n_train=20, n_repeated=3, repeats=4))
    >>> session.images.shape, len(session.order), session.repeated().tolist()
    ((23, 72, 128), 32, [20, 21, 22])
    """
    if config.n_train + config.n_repeated == 0:
        raise ConfigurationError(
            "a natural session got n_train 0 and n_repeated 0; expected at least 1 image"
        )
    reserved, others = split_photographs(config.seed, config.reserved_photographs)
    parts = [
        _pictures(config, count, 2 * config.seed + which, names)
        for which, (count, names) in enumerate([(config.n_train, others), (config.n_repeated, reserved)])
        if count
    ]
    images = np.concatenate([p.pixels for p in parts])
    sources = [s for p in parts for s in p.source_id]
    conditions = conditions_table(images, sources, shown_s=0.5)
    return Session(images, conditions, _order(config))


def _pictures(config: NaturalSessionConfig, n: int, seed: int, names: list[str]) -> NaturalImages:
    return natural_images(
        n,
        height=config.height,
        width=config.width,
        seed=seed,
        photographs=names,
        photograph_share=config.photograph_share,
    )


def conditions_table(images: npt.NDArray[np.uint8], sources: list[str], shown_s: float) -> pl.DataFrame:
    """Return the table of conditions of natural images, one row an image, ``image_id`` counting from 0."""
    n = len(images)
    return pl.DataFrame(
        {
            "condition_hash": [condition_hash(image, shown_s) for image in images],
            "image_class": [NATURAL_CLASS] * n,
            "image_id": np.arange(n),
            "source_id": sources,
            "image_row": np.arange(n),
        },
        schema_overrides={"image_id": pl.Int64, "image_row": pl.Int64},
    )


def _order(config: NaturalSessionConfig) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng([config.seed, 2])
    single = np.array_split(rng.permutation(config.n_train), config.repeats)
    repeated = config.n_train + np.arange(config.n_repeated)
    return np.concatenate([rng.permutation(np.concatenate([block, repeated])) for block in single]).astype(
        np.int64
    )

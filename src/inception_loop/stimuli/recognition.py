"""Which exported condition each image of a recording is: by its pixels, whatever it is called there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import DataError
from inception_loop.stimuli.as_planned import Shown
from inception_loop.stimuli.same_pixels import Images, same_pixels

Unmatched = Literal["refuse", "exclude"]

LABELS = ("image_class", "image_id", "source_id")
"""What a recognised condition is called as in the set."""

SAME, RESIZED, NAMED, NONE = "pixels", "resized", "hash", ""
"""How a condition was recognised: same pixels; same after averaging areas; only by its hash; not at all."""


@dataclass(frozen=True)
class ShownSet:
    """The conditions of a stimulus set, as exported or as in the store.

    Attributes
    ----------
    name : what it is called in an error
    conditions : at least ``condition_hash, image_class, image_id, source_id, image_row``; a condition may
        have several rows
    images : (K, h, w) uint8, grey levels as sent to the monitor
    planned : condition of each trial, in order; None: not known
    """

    name: str
    conditions: pl.DataFrame
    images: npt.NDArray[np.uint8]
    planned: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Recognition:
    """What the conditions of a recording are in a stimulus set.

    Attributes
    ----------
    conditions : table ``recorded_hash, condition_hash`` (null: not in the set), ``how`` (pixels, resized,
        hash; empty: not at all), ``image_row`` of the recording, ``n_trials``; a row a recorded condition
    ambiguous : recorded conditions whose pixels several conditions of the set have; the first one is taken,
        unless the recording names another of them
    beside_plan : how the trials differ from those that were planned; None: not known
    """

    conditions: pl.DataFrame
    ambiguous: int
    beside_plan: Shown | None = None

    @property
    def strangers(self) -> pl.DataFrame:
        """Rows of the conditions that the set does not hold."""
        return self.conditions.filter(pl.col("condition_hash").is_null())

    def findings(self) -> dict[str, object]:
        """Return counts for a manifest."""
        known, strange = self.conditions.drop_nulls("condition_hash"), self.strangers
        return {
            "n_recognised": known.height,
            "n_recognised_trials": int(known["n_trials"].sum()),
            "recognised_by": dict(known["how"].value_counts().sort("how").rows()),
            "n_unmatched": strange.height,
            "n_unmatched_trials": int(strange["n_trials"].sum()),
            "n_ambiguous": self.ambiguous,
            **({} if self.beside_plan is None else self.beside_plan.findings()),
        }


def recognise(
    conditions: pl.DataFrame, images: Images, shown: ShownSet, trials: pl.DataFrame | None = None
) -> Recognition:
    """Find the condition of a stimulus set that each condition of a recording shows.

    What counts is the image. How long it was on is not compared: a rig shows whole frames of its monitor,
    and its clock jitters. Images may be floats of whole grey levels, enlarged by repeating pixels, or
    reduced by averaging areas; then they may also be rounded.

    Parameters
    ----------
    conditions : table ``condition_hash, image_row`` of the recording
    images : (K, h, w), grey levels
        Of the recording.
    shown
        What the rig was given.
    trials : table ``condition_hash``
        Presentations, to count them.

    Returns
    -------
    Recognition

    Raises
    ------
    DataError
        If the recording uses the hash of a condition for an image that has the size of the set's but other
        pixels: then one of the two is wrong, and nobody can tell which.

    Examples
    --------
    >>> pixels = np.arange(16, dtype=np.uint8).reshape(2, 2, 4)
    >>> shown = ShownSet("a set", pl.DataFrame({"condition_hash": ["a", "b"], "image_row": [0, 1]}), pixels)
    >>> recorded = pl.DataFrame({"condition_hash": ["x", "y"], "image_row": [0, 1]})
    >>> recognise(recorded, pixels[::-1], shown).conditions["condition_hash"].to_list()
    ['b', 'a']
    """
    rows = conditions["image_row"].to_numpy()
    named = conditions["condition_hash"].to_list()
    candidates, how = _candidates(images, rows, shown)
    known = set(shown.conditions["condition_hash"].to_list())
    found: list[str | None] = []
    ambiguous = 0
    for place, (name, fits) in enumerate(zip(named, candidates, strict=True)):
        if name in known and name not in fits:
            if fits or images.shape[1:] == shown.images.shape[1:]:
                raise DataError(_contradiction(name, int(rows[place]), images, shown, fits))
            how[place] = NAMED
            fits = [name]
        ambiguous += len(fits) > 1
        found.append((name if name in fits else fits[0]) if fits else None)
    counts = {} if trials is None else dict(trials["condition_hash"].value_counts().rows())
    table = pl.DataFrame(
        {
            "recorded_hash": pl.Series(named, dtype=pl.String),
            "condition_hash": pl.Series(found, dtype=pl.String),
            "how": pl.Series(how, dtype=pl.String),
            "image_row": pl.Series(rows, dtype=pl.Int64),
            "n_trials": pl.Series([counts.get(name, 0) for name in named], dtype=pl.Int64),
        }
    )
    return Recognition(table, ambiguous)


def _candidates(
    images: Images, rows: npt.NDArray[np.int64], shown: ShownSet
) -> tuple[list[list[str]], list[str]]:
    """Return for each recorded condition the hashes of the set that its image may be, and how."""
    names: dict[int, list[str]] = {}
    for name, row in shown.conditions.select("condition_hash", "image_row").iter_rows():
        of_row = names.setdefault(row, [])
        if name not in of_row:
            of_row.append(name)
    matches = same_pixels(images, rows, shown.images, np.array(list(names), np.int64))
    how = SAME if images.shape[1:] == shown.images.shape[1:] else RESIZED
    found = [[name for row in match for name in names[row]] for match in matches]
    return found, [how if match else NONE for match in found]


def _contradiction(name: str, row: int, images: Images, shown: ShownSet, fits: list[str]) -> str:
    if fits:
        what = f"it has those of condition {fits[0]}"
    else:
        sent = shown.images[shown.conditions.filter(condition_hash=name)["image_row"][0]]
        what = f"they differ by up to {np.abs(images[row].astype(np.float64) - sent).max():g} grey levels"
    return (
        f"the recording calls its image {row} condition {name}, but it does not have the pixels of that "
        f"condition in {shown.name}: {what}; expected the image as it was sent; correct the images, or leave "
        "the hashes out"
    )

"""What a loop could not compare, in words: units without a match, dead cells, images shown once or never."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from inception_loop.artifacts.kind import Column, Table
from inception_loop.closed_loop.diagonal import Control, not_compared
from inception_loop.closed_loop.scans import I64, TEXT

NOTES = Table(
    {
        "scan": Column(TEXT, "the later scan that it is about, animal-session-scan; empty: the whole loop"),
        "key": Column(
            TEXT,
            "unmatched, double_match, without_variance, not_shown, shown_once (in this scan), one_repeat "
            "(in the whole loop), not_compared",
        ),
        "n": Column(I64, "how many units, images or comparisons"),
        "note": Column(TEXT, "the same in words"),
    }
)
_SCHEMA = {"scan": pl.String, "key": pl.String, "n": pl.Int64, "note": pl.String}
_NAMED = 5


def scan_notes(
    scan: str, images: pl.DataFrame, matches: pl.DataFrame, confusion: pl.DataFrame
) -> pl.DataFrame:
    """Return what could not be compared in one later scan.

    Parameters
    ----------
    scan
        What the scan is called.
    images
        Rows of `shown_images` of the set that it showed.
    matches
        ``source_unit_id, double_match``: the source units that were matched to a cell of this scan.
    confusion
        Rows of `confusion`.

    Returns
    -------
    Table ``scan, key, n, note``, a row for everything that occurred; empty if nothing did.

    Examples
    --------
    >>> images = pl.DataFrame({"model_type": "cnn", "image_unit_id": [1, 2]})
    >>> matches = pl.DataFrame({"source_unit_id": [1], "double_match": [False]})
    >>> confusion = pl.DataFrame({"model_type": "cnn", "image_unit_id": [1, 2], "source_unit_id": [1, 1],
    ...                           "n_repeats": [9, 9]})
    >>> scan_notes("1-2-1", images, matches, confusion)["note"].item()
    'scan 1-2-1: units with images but no match: 1 of 2 (2)'
    """
    imaged = set(images["image_unit_id"])
    own = matches.filter(pl.col("source_unit_id").is_in(list(imaged)))
    matched, double = set(own["source_unit_id"]), set(own.filter("double_match")["source_unit_id"])
    image = ["model_type", "image_unit_id"]
    seen = confusion.select(*image, "n_repeats").unique()
    never = images.select(image).unique().join(seen, on=image, how="anti") if seen.height else seen[:0]
    of = f" of {len(imaged)}"
    rows = [
        _row(scan, "unmatched", imaged - matched, "units with images but no match", of),
        _row(scan, "double_match", double, "units matched to a cell that another is matched to as well", of),
        _row(
            scan,
            "without_variance",
            matched - set(confusion["source_unit_id"]),
            "units left out since the responses of their cells have no variance",
            of,
        ),
        _row(scan, "not_shown", _images(never), "images of units never shown in a trial that counts"),
        _row(
            scan,
            "shown_once",
            _images(seen.filter(n_repeats=1)),
            "images shown once only, their variance in this scan undefined",
        ),
    ]
    return _table(rows)


def loop_notes(summary: pl.DataFrame, diagonals: Mapping[Control, pl.DataFrame]) -> pl.DataFrame:
    """Return what could not be compared in the whole loop, as `scan_notes` does.

    Parameters
    ----------
    summary
        Rows of `summary_confusion`.
    diagonals
        Control → rows of `diagonal_entry`; without rows where no unit was shown both images.
    """
    once = summary.filter(pl.col("image_unit_id") == pl.col("source_unit_id"), n_repeats=1)
    text = "own images with one repeat in the whole loop, so that there is no variance, no s.e.m. and no t"
    rows = [_row("", "one_repeat", _images(once), text)]
    skipped = [control for control, table in diagonals.items() if not table.height]
    rows += [("", "not_compared", 1, not_compared(control)) for control in skipped]
    return _table(rows)


def _images(table: pl.DataFrame) -> list[str]:
    return [f"{model} {unit}" for model, unit in table.select("model_type", "image_unit_id").unique().rows()]


def _row(
    scan: str, key: str, found: Iterable[int | str], text: str, of: str = ""
) -> tuple[str, str, int, str]:
    names = sorted(found)
    few = ", ".join(map(str, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    note = f"{text}: {len(names)}{of} ({few})"
    return scan, key, len(names), f"scan {scan}: {note}" if scan else note


def _table(rows: list[tuple[str, str, int, str]]) -> pl.DataFrame:
    return pl.DataFrame([row for row in rows if row[2]], schema=_SCHEMA, orient="row")

"""Units and image classes that a session is not to show though the set holds them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from inception_loop.errors import ConfigurationError

_GROUP = r"^group\d+-"


def scan_of(name: str) -> pl.Expr:
    """Return what a readout key in a column names: ``animal-session-scan``, or the key if it is another."""
    return pl.col(name).str.replace(_GROUP, "")


def remaining(conditions: pl.DataFrame, leave_out: Sequence[str]) -> pl.DataFrame:
    """Return the conditions of a set without some units and image classes.

    Parameters
    ----------
    conditions : table ``image_class, source_name, source_unit_id``
    leave_out
        Image classes, and units as ``scan/unit_id``: ``1-1-1/37``, or with the readout key of the scan.

    Raises
    ------
    ConfigurationError
        If one is neither, or nothing remains.

    Examples
    --------
    >>> conditions = pl.DataFrame({"image_class": ["mei", "mei", "blank"], "source_unit_id": [5, 8, None],
    ...                            "source_name": ["group000-1-1-1", "group000-1-1-1", None]})
    >>> remaining(conditions, ["1-1-1/5", "blank"])["source_unit_id"].to_list()
    [8]
    """
    if not leave_out:
        return conditions
    known = pl.col("source_unit_id").fill_null(-1) >= 0
    called = conditions.select(
        image_class="image_class",
        short=pl.when(known).then(pl.format("{}/{}", scan_of("source_name"), "source_unit_id")),
        full=pl.when(known).then(pl.format("{}/{}", "source_name", "source_unit_id")),
    )
    names = {column.name: set(column.drop_nulls()) for column in called}
    unknown = [one for one in leave_out if not any(one in of for of in names.values())]
    if unknown:
        units = f"a unit such as {min(names['short'])}, or " if names["short"] else ""
        raise ConfigurationError(
            f"--leave-out has {unknown[0]!r}, which is no unit or image class of the set; expected "
            f"{units}a class of {', '.join(sorted(names['image_class']))}"
        )
    gone = called.select(pl.any_horizontal(pl.all().is_in(list(leave_out)).fill_null(False))).to_series()
    left = conditions.filter(~gone)
    if left.height == 0:
        raise ConfigurationError(
            f"--leave-out {','.join(leave_out)} leaves nothing to show; expected some image to stay; "
            "leave less out"
        )
    return left

"""The figures of a report as files for papers and slides, each with the data behind it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import PurePosixPath

import polars as pl

from inception_loop.report.closed_loop.figures import every_figure, meanings
from inception_loop.report.closed_loop.kinds import TABLES
from inception_loop.report.closed_loop.tables import LoopTables

FIGURES, DATA = "figures", "data"
WHOLE = ("numbers", "tests", "unit_tests", "power", "own_responses", "origins")
"""Tables that belong to no figure and are written as they are."""

Write = Callable[[PurePosixPath, bytes], None]


def export_figures(tables: LoopTables, write: Write, *, dpi: int = 300) -> int:
    """Write ``figures/NAME.svg`` and ``.png``, the rows behind each as ``data/NAME.csv`` and ``.parquet``.

    With them the tables of `WHOLE`, what every column means (``data/columns.csv``) and what every figure
    shows, in words (``data/figures.csv``).

    Parameters
    ----------
    tables
        Of a report.
    write
        Takes a relative path and the content of a file.
    dpi
        Of the PNGs.

    Returns
    -------
    How many figures were written.
    """
    columns, said = [], []
    figures = every_figure(tables)
    for one in figures:
        name = one.figure.name
        write(PurePosixPath(FIGURES, f"{name}.svg"), one.figure.svg)
        write(PurePosixPath(FIGURES, f"{name}.png"), one.figure.png(dpi))
        _write_table(name, one.rows, write)
        columns += [(name, column, meaning) for column, meaning in meanings(one).items()]
        said.append((name, one.figure.alt, one.figure.caption, _origins(tables.origins, name)))
    for name in WHOLE:
        _write_table(name, getattr(tables, name), write)
        columns += [(name, column, declared.meaning) for column, declared in TABLES[name].columns.items()]
    described = pl.DataFrame(columns, schema=["data", "column", "meaning"], orient="row")
    seen = pl.DataFrame(
        said,
        schema=dict.fromkeys(("figure", "shows", "caption", "comes_from"), pl.String),
        orient="row",
    )
    write(PurePosixPath(DATA, "columns.csv"), _csv(described))
    write(PurePosixPath(DATA, "figures.csv"), _csv(seen))
    return len(figures)


def _write_table(name: str, rows: pl.DataFrame, write: Write) -> None:
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    write(PurePosixPath(DATA, f"{name}.csv"), _csv(rows))
    write(PurePosixPath(DATA, f"{name}.parquet"), buffer.getvalue())


def _csv(rows: pl.DataFrame) -> bytes:
    return rows.write_csv().encode()


def _origins(origins: pl.DataFrame, name: str) -> str:
    """Return the artifacts that a figure was drawn from, as ``kind/digest``."""
    mine = origins.filter(pl.col("of") == "figure", pl.lit(name).str.starts_with(pl.col("name")))
    return " ".join(f"{kind}/{digest}" for kind, digest in mine.select("kind", "digest").rows())

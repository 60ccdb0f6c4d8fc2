"""The report of several loops: one page that needs no network, from the table across loops."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import polars as pl
from markupsafe import Markup

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import File, Kind
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.loop_units import words_of
from inception_loop.closed_loop.statistics.over_loops import OTHERS
from inception_loop.report import words
from inception_loop.report.answer import Q
from inception_loop.report.closed_loop.export import DATA, FIGURES, Write
from inception_loop.report.figures.loops import loops_figures
from inception_loop.report.html import environment, text

TABLES = ("loops", "loops_evidence", "units")

LOOPS_REPORT = Kind(
    name="loops_report",
    version=2,  # 2: the headline counts losses too, by corrected p, and says whether it is about animals
    meaning="Several loops on one page: every loop, all units together, the animals.",
    payloads={"report": File(".html", "One page with tests in words, figures and lineage; needs no network")},
)


class LoopsReportConfig(Config):
    """The page has no settings."""


def make_loops_report(
    store: ArtifactStore, config: LoopsReportConfig, *, loops_evidence: ArtifactRef
) -> Outcome:
    """Write the page of an analysis over loops."""

    def build(attempt: Attempt) -> None:
        tables = {name: store.table(loops_evidence, name) for name in TABLES}
        settings = store.manifest(loops_evidence).config
        page = render_loops_page(**tables, digest=loops_evidence.digest, settings=settings)
        attempt.write_file("report", page.encode())
        attempt.report(headline=headline(tables["loops_evidence"]))

    return store.make(LOOPS_REPORT, config, build, {"loops_evidence": loops_evidence})


def first_comparison(evidence: pl.DataFrame) -> str:
    """Return the comparison that the headline is about: the first with a control image."""
    found: list[str] = evidence["comparison"].unique(maintain_order=True).to_list()
    return next((key for key in found if not key.endswith(OTHERS)), found[0])


@dataclass(frozen=True)
class Count:
    """How many loops go which way, by the rule of a single loop's report: q ≤ `Q` of the sign flips.

    Attributes
    ----------
    wins, loses : loops whose mean difference is above, below 0 with q ≤ `Q`
    tested, n : loops with a test, loops
    """

    wins: int
    loses: int
    tested: int
    n: int


def answer(evidence: pl.DataFrame) -> Count:
    """Count the loops in which own wins and loses in the comparison of the headline."""
    rows = evidence.filter(pl.col("loop").is_not_null(), comparison=first_comparison(evidence))
    sure = rows.filter(pl.col("q_value") <= Q)
    wins, loses = (sure.filter(pl.col("value") * sign > 0).height for sign in (1, -1))
    return Count(wins, loses, rows["q_value"].count(), rows.height)


def headline(evidence: pl.DataFrame) -> str:
    """Say in one line what the loops show, and whether that is about animals.

    Examples
    --------
    >>> rows = {"key": ["a", "b"], "comparison": ["cnn_linear"] * 2, "loop": ["0", "1"], "animal": ["3", "4"],
    ...         "value": [0.5, -0.4], "q_value": [0.01, 0.02]}
    >>> headline(pl.DataFrame(rows))
    'own MEI against own RF image: the own MEI wins in 1 of 2 loops and loses in 1 (q ≤ 0.05); these are 2 \
animals: no statement about animals'
    """
    comparison = first_comparison(evidence)
    what, found = words_of(comparison), answer(evidence)
    own = what.partition(" against ")[0]
    if not found.tested:
        return f"{what}: no loop could be tested"
    without = f"; {found.n - found.tested} not tested" if found.n > found.tested else ""
    said = f"the {own} wins in {found.wins} of {found.n} loops and loses in {found.loses}"
    return f"{what}: {said} (q ≤ {Q:g}{without}); {_of_animals(evidence, comparison)}"


def _of_animals(evidence: pl.DataFrame, comparison: str) -> str:
    for row in (
        evidence.filter(key=f"{comparison}_animals_interval").drop_nulls("value").iter_rows(named=True)
    ):
        ends = f"{words.number(row['lower'])} to {words.number(row['upper'])}"
        return f"over {row['n']} animals mean difference {words.number(row['value'])} (95 % interval {ends})"
    n = evidence.filter(comparison=comparison)["animal"].drop_nulls().n_unique()
    return f"these are {words.count(n, 'animal')}: no statement about animals"


def render_loops_page(
    loops: pl.DataFrame,
    loops_evidence: pl.DataFrame,
    units: pl.DataFrame,
    *,
    digest: str,
    settings: dict[str, Any],
) -> str:
    """Return the page.

    Parameters
    ----------
    loops, loops_evidence, units
        The tables of the artifact ``loops_evidence``.
    digest, settings
        Its digest and configuration.
    """
    found = answer(loops_evidence)
    tone = (
        "open" if not found.tested else "yes" if found.wins == found.n else "partly" if found.wins else "no"
    )
    comparisons = loops_evidence["comparison"].unique(maintain_order=True).to_list()
    parts = [
        {
            "what": words_of(key),
            "rows": [_shown(row) for row in loops_evidence.filter(comparison=key).iter_rows(named=True)],
        }
        for key in comparisons
    ]
    assumptions = loops_evidence.select("statistic", "n_of", "assumptions").unique(maintain_order=True)
    page = (
        environment()
        .get_template("loops.html.jinja")
        .render(
            tone=tone,
            headline=headline(loops_evidence),
            n_loops=loops.height,
            n_animals=loops["animal"].n_unique(),
            loops=loops.to_dicts(),
            parts=parts,
            figures=loops_figures(loops_evidence, units),
            assumptions=assumptions["assumptions"].unique(maintain_order=True).to_list(),
            digest=digest,
            settings=settings,
            style=Markup(text("page.css")),
        )
    )
    return page.strip() + "\n"


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    name = f"loop {row['loop']}, animal {row['animal']}" if row["loop"] else f"{row['n_of']} together"
    ends = f"{words.number(row['lower'])} to {words.number(row['upper'])}" if row["lower"] is not None else ""
    return {**row, "name": name, "ends": ends, "text": str(row["words"]).partition(": ")[2]}


def loops_lines(evidence: pl.DataFrame) -> list[str]:
    """Return what a terminal says: the headline, then the statements over all loops, a line each."""
    pooled = evidence.filter(pl.col("loop").is_null())
    return [headline(evidence), *(f"  {words}" for words in pooled["words"])]


def export_loops(store: ArtifactStore, ref: ArtifactRef, write: Write, *, dpi: int = 300) -> int:
    """Write the figures of an analysis over loops as SVG and PNG, and its tables as CSV and Parquet.

    Parameters
    ----------
    store, ref
        Where, and the ``loops_evidence``.
    write
        Takes a relative path and the content of a file.
    dpi
        Of the PNGs.

    Returns
    -------
    How many figures were written.
    """
    tables = {name: store.table(ref, name) for name in TABLES}
    figures = loops_figures(tables["loops_evidence"], tables["units"])
    for figure in figures:
        write(PurePosixPath(FIGURES, f"{figure.name}.svg"), figure.svg)
        write(PurePosixPath(FIGURES, f"{figure.name}.png"), figure.png(dpi))
    for name, table in tables.items():
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        write(PurePosixPath(DATA, f"{name}.parquet"), buffer.getvalue())
        write(PurePosixPath(DATA, f"{name}.csv"), table.write_csv().encode())
    return len(figures)

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
from inception_loop.report.answer import SIGNIFICANT, Q
from inception_loop.report.closed_loop.export import DATA, FIGURES, Write
from inception_loop.report.figures.loops import loops_figures
from inception_loop.report.html import environment, text

TABLES = ("loops", "loops_evidence", "units")

LOOPS_REPORT = Kind(
    name="loops_report",
    # 2: the headline counts losses too, by corrected p, and says whether it is about animals; 3: every
    # comparison and the diagonals stand in it, and yes is yes in all
    version=3,
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
        attempt.report(headline=headline(tables["loops_evidence"], tables["loops"]))

    return store.make(LOOPS_REPORT, config, build, {"loops_evidence": loops_evidence})


def asked(evidence: pl.DataFrame) -> list[str]:
    """Return the comparisons that the headline is about: with control images, of MEIs where there are any.

    Masked images are asked beside the claim, as in the report of one loop.

    Examples
    --------
    >>> keys = ["cnn_others", "cnn_linear", "cnn_linear", "masked_cnn_masked_natural"]
    >>> asked(pl.DataFrame({"comparison": keys}))
    ['cnn_linear']
    """
    found = [key for key in evidence["comparison"].unique(maintain_order=True) if not key.endswith(OTHERS)]
    return [key for key in found if key.startswith("cnn_")] or found


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


def answer(evidence: pl.DataFrame, comparison: str) -> Count:
    """Count the loops in which own wins and loses in one comparison."""
    rows = evidence.filter(pl.col("loop").is_not_null(), comparison=comparison)
    sure = rows.filter(pl.col("q_value") <= Q)
    wins, loses = (sure.filter(pl.col("value") * sign > 0).height for sign in (1, -1))
    return Count(wins, loses, rows["q_value"].count(), rows.height)


def diagonals(loops: pl.DataFrame) -> Count:
    """Count the loops whose own MEIs drive more than shuffled ones, p < `SIGNIFICANT`.

    Examples
    --------
    >>> diagonals(pl.DataFrame({"diagonal_p_value": [1e-5, 0.3, None]}))
    Count(wins=1, loses=0, tested=2, n=3)
    """
    p_values = loops["diagonal_p_value"]
    return Count(int((p_values < SIGNIFICANT).sum()), 0, p_values.count(), len(p_values))


def tone(evidence: pl.DataFrame, loops: pl.DataFrame) -> str:
    """Return the tone of the headline: yes only if own wins in every comparison and loop, diagonals too."""
    counts = [diagonals(loops), *(answer(evidence, key) for key in asked(evidence))]
    if not any(one.tested for one in counts):
        return "open"
    if all(one.wins == one.n for one in counts):
        return "yes"
    return "partly" if any(one.wins for one in counts) else "no"


def headline(evidence: pl.DataFrame, loops: pl.DataFrame | None = None) -> str:
    """Say in one line what the loops show, comparison by comparison, and whether that is about animals.

    Parameters
    ----------
    evidence, loops
        The tables ``loops_evidence`` and ``loops``; without the second nothing is said of the diagonals.

    Examples
    --------
    >>> rows = {"key": ["a", "b"], "comparison": ["cnn_linear"] * 2, "loop": ["0", "1"]}
    >>> rows |= {"animal": ["3", "4"], "value": [0.5, -0.4], "q_value": [0.01, 0.02]}
    >>> headline(pl.DataFrame(rows), pl.DataFrame({"diagonal_p_value": [1e-5, 0.3]}))
    'own MEI against those of the other units: p < 0.001 in 1 of 2 loops; own MEI against own RF image: wins \
in 1 of 2 loops, loses in 1 (q ≤ 0.05); these are 2 animals: no statement about animals'
    """
    parts = [] if loops is None else [_of_diagonals(diagonals(loops))]
    parts += [_clause(evidence, comparison) for comparison in asked(evidence)]
    if not evidence.filter(pl.col("key").str.ends_with("_animals_interval"))["value"].count():
        n = evidence["animal"].drop_nulls().n_unique()
        parts.append(f"these are {words.count(n, 'animal')}: no statement about animals")
    return "; ".join(parts)


def _of_diagonals(found: Count) -> str:
    what = words_of(f"cnn{OTHERS}")
    without = f", {found.n - found.tested} not tested" if found.n > found.tested else ""
    return f"{what}: p < {SIGNIFICANT:g} in {found.wins} of {words.count(found.n, 'loop')}{without}"


def _clause(evidence: pl.DataFrame, comparison: str) -> str:
    what, found = words_of(comparison), answer(evidence, comparison)
    if not found.tested:
        return f"{what}: no loop could be tested"
    without = f", {found.n - found.tested} not tested" if found.n > found.tested else ""
    said = f"wins in {found.wins} of {words.count(found.n, 'loop')}, loses in {found.loses}{without}"
    return f"{what}: {said} (q ≤ {Q:g}){_of_animals(evidence, comparison)}"


def _of_animals(evidence: pl.DataFrame, comparison: str) -> str:
    rows = evidence.filter(key=f"{comparison}_animals_interval").drop_nulls("value")
    for row in rows.iter_rows(named=True):
        ends = f"{words.number(row['lower'])} to {words.number(row['upper'])}"
        mean = words.number(row["value"])
        return f", over {row['n']} animals mean difference {mean} (95 % interval {ends})"
    return ""


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
            tone=tone(loops_evidence, loops),
            headline=headline(loops_evidence, loops),
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
    name = f"loop {row['loop']}, animal {row['animal']}" if row["loop"] else _together(row)
    ends = f"{words.number(row['lower'])} to {words.number(row['upper'])}" if row["lower"] is not None else ""
    return {**row, "name": name, "ends": ends, "text": str(row["words"]).partition(": ")[2]}


def _together(row: dict[str, Any]) -> str:
    """Name a row over all loops by what it counts and by its test.

    Examples
    --------
    >>> _together({"n_of": "animals", "statistic": "mean difference, sign flips"})
    'animals together, sign flips'
    """
    return ", ".join([f"{row['n_of']} together", *row["statistic"].split(", ")[1:]])


def loops_lines(evidence: pl.DataFrame, loops: pl.DataFrame | None = None) -> list[str]:
    """Return what a terminal says: the headline, then the statements over all loops, a line each."""
    pooled = evidence.filter(pl.col("loop").is_null())
    return [headline(evidence, loops), *(f"  {words}" for words in pooled["words"])]


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

"""What a terminal shows of the events of runs. Imports no Prefect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from inception_loop.artifacts.events import OUTCOMES, Outcome

MARKS: Mapping[Outcome, str] = {
    "computed": "✓",
    "cached": "=",
    "refused": "✗",
    "reserved": "»",
    "failed": "✗",
    "interrupted": "✗",
    "running": "…",
}


def run_lines(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each run, and what was wrong under it."""
    lines = []
    for run in runs:
        counts = ", ".join(f"{run[name]} {name}" for name in OUTCOMES if run[name])
        began = f"{run['started']:%Y-%m-%d %H:%M:%S}"
        lines.append(
            f"{run['run_id']}  {began}  {run['flow']}  {took(run['seconds']).strip()}  "
            f"{counts}, {size(run['bytes']).strip()}"
        )
        lines += [f"  ✗ {run['error']}"] if run["error"] else []
    return lines


def step_lines(steps: pl.DataFrame) -> list[str]:
    """Return a line for each step of a run: when it began after the first, how it ended, what it made."""
    first, lines = steps["started"].min(), []
    for row in steps.iter_rows(named=True):
        after = (row["started"] - first).total_seconds()
        named = f"{row['step']} {row['label']}".rstrip()
        made = f"{row['kinds'][0]}/{row['digests'][0][:12]}" if row["kinds"] else ""
        more = f" and {len(row['kinds']) - 1} more" if row["kinds"][1:] else ""
        again = f" ({row['attempts']} attempts)" if row["attempts"] > 1 else ""
        lines.append(
            f"{after:8.1f} s  {row['stage']:<12} {MARKS[row['outcome']]} {row['outcome']:<9} "
            f"{took(row['seconds'])}  {size(row['bytes'])}  {named}{again}  {made}{more}".rstrip()
        )
        lines += [f"            {row['error']}"] if row["error"] else []
    return lines


def took(seconds: float | None) -> str:
    """Return a duration in a column.

    Examples
    --------
    >>> took(1.26), took(None)
    ('    1.3 s', '        -')
    """
    return f"{'-':>9}" if seconds is None else f"{seconds:7.1f} s"


def size(n_bytes: int | None) -> str:
    """Return a number of bytes in a column.

    Examples
    --------
    >>> size(0), size(123_456), size(None)
    ('  0.00 MB', '  0.12 MB', '        -')
    """
    return f"{'-':>9}" if n_bytes is None else f"{n_bytes / 1e6:6.2f} MB"

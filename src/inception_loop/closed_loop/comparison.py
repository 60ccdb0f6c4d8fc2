"""What a comparison of plain responses found: to read, as tables, into files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any, Literal

import polars as pl

from inception_loop.closed_loop.plain import did_you_mean
from inception_loop.closed_loop.statistics.bootstrap import ABOUT
from inception_loop.closed_loop.statistics.mixed import ABOUT as ABOUT_MIXED
from inception_loop.closed_loop.statistics.pooled import about as about_animals
from inception_loop.errors import ConfigurationError

TABLES = ("evidence", "units", "tests", "confusion")
BEST = "own_image_is_best_share"
WIDTH = 100
ABOUTS = {
    ABOUT["units"]: "units of one animal",
    about_animals("animal"): "units of several animals",
    ABOUT["animals"]: "animals",
    ABOUT_MIXED: "animals by the mixed model",
}
"""What intervals speak of → whose."""


@dataclass(frozen=True)
class Comparison:
    """What `inception_loop.compare` found; ``print`` it to read it.

    Attributes
    ----------
    what : what was compared
    evidence : ``animal, key, value, count, n, lower, upper, definition``: the numbers of the claim
    units : a row a unit: means, standard errors, difference, its own test
    tests : every test with its n, method, assumptions, and in words; see `table_of_tests`, and
        `across_loops` where there are several animals
    confusion : ``animal, image_unit, unit, response``: mean responses, where others' images were shown too
    notes : what was left out or could not be computed, in words

    An animal is called ``""`` where none was named.
    """

    what: str
    evidence: pl.DataFrame
    units: pl.DataFrame
    tests: pl.DataFrame
    confusion: pl.DataFrame
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        n = self.units["animal"].n_unique()
        head = f"{self.what}: {self.units.height} units" + (f", {n} animals" if n > 1 else "")
        words = [text.removeprefix(f"{self.what}: ") for text in self.tests["words"]]
        words += [_best(row) for row in self.evidence.filter(key=BEST).iter_rows(named=True)]
        abouts = [about for about in ABOUTS if any(text.endswith(f": {about}") for text in words)]
        for about in abouts:  # said once, below
            words = [text.removesuffix(f": {about}") for text in words]
        lines = [*(f"• {text}" for text in dict.fromkeys(words)), *(f"! {note}" for note in self.notes)]
        lines += [
            f"  An interval over {over} speaks of {about}."
            for about, over in ABOUTS.items()
            if about in abouts
        ]
        return "\n".join([head, "", *(fill(line, WIDTH, subsequent_indent="  ") for line in lines)])

    def to_frame(self, table: Literal["evidence", "units", "tests", "confusion"] = "tests") -> pl.DataFrame:
        """Return one of the tables as a Polars frame; its ``to_pandas()`` gives pandas.

        Raises
        ------
        ConfigurationError
            If there is no such table.
        """
        if table not in TABLES:
            raise ConfigurationError(
                f"there is no table {table!r}{did_you_mean(table, TABLES)}; expected {', '.join(TABLES)}"
            )
        found: pl.DataFrame = getattr(self, table)
        return found

    def save(self, folder: str | Path) -> list[Path]:
        """Write every table as Parquet and CSV, and the words as text, into a folder; returns the files."""
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        written = []
        for name in TABLES:
            table = self.to_frame(name)  # type: ignore[arg-type]
            table.write_parquet(root / f"{name}.parquet")
            table.write_csv(root / f"{name}.csv")
            written += [root / f"{name}.parquet", root / f"{name}.csv"]
        words = root / "words.txt"
        words.write_text(f"{self}\n", encoding="utf-8")
        return [*written, words]


def _best(row: Mapping[str, Any]) -> str:
    of = f"animal {row['animal']}: " if row["animal"] else ""
    ends = "" if row["n"] == 0 else f" (95 % interval {100 * row['lower']:.0f} to {100 * row['upper']:.0f} %)"
    return f"{of}{row['count']} of {row['n']} units respond most to their own image among those of all{ends}"

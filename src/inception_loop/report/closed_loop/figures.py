"""Every closed-loop figure, drawn from the tables that a report keeps, each with the rows behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from inception_loop.closed_loop.diagonal import CONTROLS
from inception_loop.closed_loop.matrix import ConfusionMatrix, confusion_matrix
from inception_loop.report.closed_loop.kinds import TABLES
from inception_loop.report.closed_loop.tables import LoopTables
from inception_loop.report.figures.canvas import Figure
from inception_loop.report.figures.evidence import (
    confusion_figure,
    control_confusions_figure,
    diagonal_figure,
    matrices_of,
    preference_figure,
)
from inception_loop.report.figures.matching import (
    distance_figure,
    map_figure,
    probability_figure,
    tuning_figure,
)
from inception_loop.report.figures.units import sheets


@dataclass(frozen=True)
class Drawn:
    """A figure with the rows that it was drawn from.

    Attributes
    ----------
    figure : the figure
    table : name of the report's table that the rows are of
    rows : these rows, columns as `TABLES` declares them
    """

    figure: Figure
    table: str
    rows: pl.DataFrame


def evidence_figures(tables: LoopTables) -> list[Drawn]:
    """Draw whether cells prefer their own images, as far as the tables hold it."""
    units = tables.selected
    matrices = matrices_of(tables.confusion, units)
    found: list[Drawn] = []
    both = pl.col("rank").is_not_null() & pl.col("image_rank").is_not_null()
    among = tables.confusion.filter(both)
    if "cnn" in matrices:
        meis = among.filter(model_type="cnn")
        found.append(Drawn(confusion_figure(matrices["cnn"], z_scored=True), "confusion", meis))
        plain = _plain(tables.confusion, units)
        if len(plain.unit_ids) > 1:
            found.append(Drawn(confusion_figure(plain, z_scored=False), "confusion", meis))
    others = {model: matrix for model, matrix in matrices.items() if model != "cnn"}
    if others:
        limit = max(float(np.abs(matrix.responses).max()) for matrix in matrices.values())
        rows = among.filter(pl.col("model_type").is_in(list(others)))
        found.append(Drawn(control_confusions_figure(others, limit), "confusion", rows))
    if units:
        own_or_mei = (pl.col("model_type") == "cnn") | (pl.col("image_unit_id") == pl.col("source_unit_id"))
        rows = among.filter(own_or_mei)
        found.append(Drawn(preference_figure(rows), "confusion", rows))
    for control in CONTROLS:
        rows = tables.diagonal.filter(control=control)
        if rows.height:
            found.append(Drawn(diagonal_figure(rows), "diagonal", rows))
    return found


def _plain(confusion: pl.DataFrame, units: list[int]) -> ConfusionMatrix:
    return confusion_matrix(confusion.drop_nulls("mean").rename({"mean": "mu_resp"}), units)


def matching_figures(tables: LoopTables) -> list[Drawn]:
    """Draw where the matched cells lie, how far apart, how sure that is, and whether they answer alike."""
    found: list[Drawn] = []
    matches = tables.matches
    if matches.height:
        found += [
            Drawn(map_figure(matches), "matches", matches),
            Drawn(distance_figure(matches), "matches", matches),
        ]
    if matches["probability"].count():
        rows = matches.drop_nulls("probability")
        found.append(Drawn(probability_figure(rows), "matches", rows))
    if tables.tuning_match["n"].sum():
        found.append(Drawn(tuning_figure(tables.tuning_match), "tuning_match", tables.tuning_match))
    return found


def unit_figures(tables: LoopTables) -> list[Drawn]:
    """Draw every selected unit with its images and trials, several a sheet."""
    drawn = sheets(tables.own_responses, tables.shown, tables.images)
    return [Drawn(figure, "own_responses", rows) for figure, rows in drawn]


def every_figure(tables: LoopTables) -> list[Drawn]:
    """Draw everything that the tables hold."""
    return [*evidence_figures(tables), *matching_figures(tables), *unit_figures(tables)]


def meanings(drawn: Drawn) -> dict[str, str]:
    """Return what each column of a figure's rows means, with its unit."""
    return {name: column.meaning for name, column in TABLES[drawn.table].columns.items()}

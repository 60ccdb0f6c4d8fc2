"""Tables for other programs: a text stays the text it was, in one cell, a formula too."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from inception_loop.artifacts.store import ArtifactStore
from inception_loop.stimuli.export import export_session
from inception_loop.stimuli.export_session import session_of
from inception_loop.stimuli.export_source import export_source

FORMULAS = [
    "=1+1",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "\t=1",
    '=HYPERLINK("http://x")',
    'a","b',
    "a\nb",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_in_a_printed_table_is_one_cell_and_unchanged(
    text: str, call: Any, thing_store: ArtifactStore, things: Any
) -> None:
    def hostile(attempt: Any) -> None:
        attempt.write_table("rows", pl.DataFrame({"n": [1, 2], "text": [text, "plain"]}))
        vectors = pl.DataFrame({"v": [[1.0]]}, schema={"v": pl.Array(pl.Float32, 1)})
        attempt.write_table("vectors", vectors)
        attempt.write_arrays("arrays", {})
        attempt.write_arrays("weights", {"w": pl.Series([1.0], dtype=pl.Float32).to_numpy()})
        attempt.write_file("page", b"")

    ref = thing_store.make(things.kind, things.config(name="formula"), hostile).ref
    said = call("store", "show", ref, "--table", "rows", "--store", thing_store.uri)
    assert said.status == 0
    assert list(csv.reader(io.StringIO(said.out))) == [["n", "text"], ["1", text], ["2", "plain"]]


def test_an_exported_table_keeps_a_formula_as_text(
    sets: Any, thing_store: ArtifactStore, tmp_path: Path
) -> None:
    source = export_source(thing_store, sets.make_set(thing_store, units=(3, 1), repeats=1))
    strange = pl.when(pl.col("image_class") == "natural").then(pl.lit(FORMULAS[5])).otherwise("image_class")
    conditions = source.conditions.with_columns(image_class=strange)
    export_session(session_of(dataclasses.replace(source, conditions=conditions)), tmp_path / "rig", ("npz",))
    table = pl.read_parquet(tmp_path / "rig" / "conditions.parquet")
    assert FORMULAS[5] in table["image_class"].to_list()
    assert pl.read_csv(tmp_path / "rig" / "conditions.csv", schema=table.schema).equals(table)

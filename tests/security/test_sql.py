"""SQL: values are bound, statements stand in files, and what a person writes reaches its table only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.artifacts.query import matching_rows, query
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError
from inception_loop.selection.oracle import oracle
from inception_loop.training.config import ModelConfig
from inception_loop.training.restriction import restrict

ROOT = Path(__file__).resolve().parents[2]
STATEMENT = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|DROP\s+\w+|ATTACH|PRAGMA"
    r"|CREATE\s+(TEMP|TABLE|VIEW|OR)|COPY\s.+\sTO|SET\s+\w+\s*=|WHERE\s)",
    re.DOTALL,
)
FILLS = (".format", ".format_map", ".replace", ".join", ".substitute")
ALLOWED = {
    "artifacts/query.py: CREATE TEMP VIEW": "a quoted name, and numbers of the function's own making",
    "artifacts/query.py: SET allowed_paths": "numbers of the function's own making",
}
"""Statements that are put together, and why that is safe."""
NO_SQL = {
    "scipy.spatial.KDTree(there[columns]).query": "neighbours of a point",
    "scipy.spatial.KDTree(others[there]).query": "neighbours of a point",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("src/inception_loop", "flows"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT / "src/inception_loop" if "src" in folder else ROOT).as_posix()
            yield name, ast.parse(path.read_text())


def put_together(tree: ast.AST) -> Iterator[str]:
    """Yield every text that looks like SQL and into which a value is put."""
    for node in ast.walk(tree):
        parts: list[ast.AST] = []
        if isinstance(node, ast.JoinedStr) and any(isinstance(v, ast.FormattedValue) for v in node.values):
            parts = [v for v in node.values if isinstance(v, ast.Constant)]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
            parts = [side for side in (node.left, node.right) if isinstance(side, ast.Constant)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(FILLS):
            parts = [getattr(node.func, "value", node.func)]
        text = " ".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
        if STATEMENT.search(text):
            yield text.strip()


def statements(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is called and the first argument of every call that runs a statement."""
    ours = any(
        isinstance(node, ast.ImportFrom) and (node.module or "").endswith("artifacts.query")
        for node in ast.walk(tree)
    )
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "query" and ours:
            yield "query", node.args[0]
        elif isinstance(node.func, ast.Attribute) and node.func.attr in {"query", "execute", "sql"}:
            yield ast.unparse(node.func), node.args[0]


def names_of(node: ast.expr) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def from_a_file(tree: ast.Module, argument: ast.expr) -> bool:
    """Whether a statement is a constant, or read from files that lie beside the code."""
    if isinstance(argument, ast.Constant):
        return True
    if isinstance(argument, ast.Call):
        return ast.unparse(argument.func) == "sql_file" and all(
            isinstance(a, ast.Constant | ast.Name) for a in argument.args
        )
    if isinstance(argument, ast.BinOp) and isinstance(argument.op, ast.Add):
        return from_a_file(tree, argument.left) and from_a_file(tree, argument.right)
    if isinstance(argument, ast.Name):
        given = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == argument.id
        ]
        known = [argument.id not in names_of(one) and from_a_file(tree, one) for one in given]
        return bool(given) and all(known)
    return False


@pytest.mark.parametrize(
    "source",
    [
        "f'SELECT a FROM t WHERE b = {value}'",
        "'SELECT a FROM t WHERE b = %s' % value",
        "'DROP TABLE {}'.format(name)",
        "'SELECT a FROM t WHERE b = ' + value",
        "f'COPY t TO {path}'",
    ],
)
def test_the_walk_sees_a_statement_that_is_put_together(source: str) -> None:
    assert list(put_together(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "safe"),
    [
        ("query('SELECT 1', {})", True),
        ("query(sql_file(__package__, 'a.sql'), {})", True),
        ("s = sql_file(PACKAGE, 'a.sql') + sql_file(PACKAGE, 'b.sql')\nquery(s, {})", True),
        ("query(text, {})", False),
        ("s = sql_file(PACKAGE, 'a.sql')\ns = s + more\nquery(s, {})", False),
        ("query(sql_file(PACKAGE, f'{name}.sql'), {})", False),
        ("query(f'SELECT {a}', {})", False),
    ],
)
def test_the_walk_knows_where_a_statement_comes_from(source: str, safe: bool) -> None:
    tree = ast.parse("from inception_loop.artifacts.query import query\n" + source)
    ((_, argument),) = statements(tree)
    assert from_a_file(tree, argument) == safe


def test_no_value_is_ever_put_into_a_statement() -> None:
    found = {f"{name}: {text}" for name, tree in modules() for text in put_together(tree)}
    unexplained = {one for one in found if not any(one.startswith(known) for known in ALLOWED)}
    assert unexplained == set()
    assert all(any(one.startswith(known) for one in found) for known in ALLOWED), "an exception is out of use"


def test_every_statement_stands_in_a_file_or_as_a_constant() -> None:
    strange, count = [], 0
    for name, tree in modules():
        for called, argument in statements(tree):
            count += 1
            known = called in NO_SQL or name == "artifacts/query.py"
            if not (known or from_a_file(tree, argument)):
                strange.append(f"{name}: {called}({ast.unparse(argument)})")
    assert strange == []
    assert count > 15


def test_only_the_query_module_knows_the_database() -> None:
    users = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and "duckdb" in ast.unparse(node)
    }
    assert users == {"artifacts/query.py"}


def test_statements_in_files_have_named_parameters_and_no_holes() -> None:
    files = sorted((ROOT / "src").rglob("*.sql"))
    assert len(files) > 15
    for path in files:
        text = re.sub(r"--.*", "", path.read_text())
        assert not re.search(r"\{\w*\}|%s|%\(|\?\s|\$\d", text), path
        assert not re.search(r"\b(COPY|ATTACH|INSTALL|LOAD|PRAGMA|read_csv|read_text|glob)\b", text), path


# --- hostile words as values -------------------------------------------------------------------------------

HOSTILE = [
    "'; DROP TABLE t; --",
    "' OR '1'='1",
    "\"; ATTACH '/tmp/x.db'; --",
    "$1 $name {0} %s ?",
    "a\\' OR TRUE --",
    "naïve ‘quotes’ ＇ʼ\u2028line",
    "x' UNION SELECT content FROM read_text('/etc/hostname') --",
    "*",
    "",
]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_word_is_a_word(word: str) -> None:
    frame = pl.DataFrame({"name": [*HOSTILE, "plain"], "n": range(len(HOSTILE) + 1)})
    sql = "SELECT name, n FROM t WHERE name = $name ORDER BY n"
    assert query(sql, {"t": frame}, {"name": word})["name"].to_list() == [word]
    assert matching_rows("n >= 0", frame).height == len(HOSTILE) + 1


@given(st.text(max_size=30))
def test_any_word_finds_itself_and_nothing_else(word: str) -> None:
    frame = pl.DataFrame({"name": [word, word + "'"]})
    found = query("SELECT name FROM t WHERE name = $name ORDER BY name", {"t": frame}, {"name": word})
    assert found["name"].to_list() == [word]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_value_of_a_mapping_is_compared_and_nothing_else(word: str) -> None:
    models = [ModelConfig(group_id=0, seed=seed) for seed in (1, 2)]
    assert restrict(models, {"core.type": word}) == []
    assert len(restrict(models, {"core.type": [word, models[0].network.core.type]})) == 2
    with pytest.raises(ConfigurationError, match="unknown field") as caught:
        restrict(models, {word: 1})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_a_hostile_table_or_partition_is_a_name(name: str, thing_store: ArtifactStore, things: Any) -> None:
    ref = things.make(thing_store, name)
    quoted = '"' + name.replace('"', '""') + '"'
    rows = query(f"SELECT n FROM {quoted} ORDER BY n", {name: [(ref, "rows")]}, store=thing_store)
    assert rows["n"].to_list() == [1, 2]


def test_hostile_names_of_images_go_through_a_rule_of_the_project() -> None:
    responses = np.random.default_rng(0).gamma(2, 1, (4 * len(HOSTILE), 3)).astype(np.float32)
    hostile = oracle(responses, np.array(HOSTILE * 4, dtype=object), min_repeats=4)
    plain = oracle(responses, np.array([f"i{n}" for n in range(len(HOSTILE))] * 4), min_repeats=4)
    assert hostile["n_images"].to_list() == [len(HOSTILE)] * 3
    exact = ("neuron_id", "n_images", "n_trials")
    assert hostile.select(exact).equals(plain.select(exact))
    np.testing.assert_allclose(hostile["oracle_pearson"], plain["oracle_pearson"], rtol=1e-6)

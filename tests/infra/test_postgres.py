"""Postgres where it can be had, a word where it cannot, and never another database than the one there was."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"
sys.path.append(str(INFRA))
import postgres  # noqa: E402
import stack  # noqa: E402

sys.path.remove(str(INFRA))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that say that they are version 15, and fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("initdb", "postgres"):
        program = folder / name
        program.write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo "postgres (PostgreSQL) 15.3" && exit\n'
            'echo "working"; echo "no room for a database here"; exit 1\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(postgres, "PLACES", ())
    return folder


def test_programs_are_found_and_fit_the_data(programs, tmp_path) -> None:
    data = tmp_path / "data"
    assert postgres.find(data) == programs
    data.mkdir()
    (data / "PG_VERSION").write_text("15\n")
    assert postgres.find(data) == programs
    (data / "PG_VERSION").write_text("9\n")
    assert postgres.find(data) is None


def test_without_programs_nothing_is_found(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "PLACES", ())
    assert postgres.find(tmp_path / "data") is None


def test_what_cannot_be_made_leaves_no_database_and_one_reason(programs, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(postgres.os, "geteuid", lambda: 1000)
    cluster = postgres.Postgres(programs, tmp_path / "data")
    with pytest.raises(OSError, match=r"^initdb: no room for a database here$"):
        cluster.prepare("secret")
    assert not (tmp_path / "data").exists()


def test_sqlite_only_where_no_runs_are_in_postgres(tmp_path, capsys) -> None:
    stack.without_postgres(tmp_path / "data", "it is not there")
    assert capsys.readouterr().out == (
        "no Postgres (it is not there); Prefect keeps its runs in SQLite, which serves one worker\n"
    )
    (tmp_path / "data").mkdir()
    with pytest.raises(SystemExit, match="cannot be started: it is not there; install that version again"):
        stack.without_postgres(tmp_path / "data", "it is not there")


def test_runs_that_are_in_sqlite_stay_there(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(stack.postgres, "find", lambda data: pytest.fail("Postgres was looked for"))
    (tmp_path / "prefect").mkdir(parents=True)
    (tmp_path / "prefect" / "prefect.db").touch()
    assert stack.Stack(tmp_path)._start_postgres() is None
    assert "are in SQLite" in capsys.readouterr().out


def test_a_port_that_is_taken_is_said(capsys, monkeypatch) -> None:
    monkeypatch.setattr(stack, "free_port", lambda usual: 50_123 if usual == 4200 else usual)
    assert stack.chosen_ports().prefect == 50_123
    assert capsys.readouterr().out == "port 4200 is taken; prefect listens on 50123\n"

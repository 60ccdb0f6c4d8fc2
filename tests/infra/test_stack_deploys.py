"""A stack whose deployments are refused runs on, so that they can be corrected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"
sys.path.append(str(INFRA))
import stack  # noqa: E402

sys.path.remove(str(INFRA))


@pytest.fixture
def deploys(tmp_path, monkeypatch):
    """Function that deploys where the command prints two lines and ends with a status."""

    def deploys(status: int) -> None:
        def run(words: list[str], *, stdout: Any, **_: object) -> subprocess.CompletedProcess[bytes]:
            assert words == ["inception-loop", "deploy"]
            stdout.write(b"first\nerror: grid is gone; say it anew\n")
            return subprocess.CompletedProcess(words, status)

        monkeypatch.setattr(stack.subprocess, "run", run)
        stack.Stack(tmp_path)._deploy()

    return deploys


def test_what_a_lab_has_to_correct_is_said_and_ends_nothing(deploys, capsys) -> None:
    deploys(2)
    assert "inception-loop deploy: error: grid is gone; say it anew; until then" in capsys.readouterr().out


def test_a_deploy_step_that_fails_ends_the_stack(deploys) -> None:
    deploys(0)
    with pytest.raises(SystemExit, match=r"deploy failed; all ended; read .*deploy\.log"):
        deploys(1)

"""A stack whose deployments are refused runs on, so that they can be corrected; its keys stay as they are."""

from __future__ import annotations

import json
import stat
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


def test_a_stack_of_before_there_were_keys_of_rigs_gets_one_and_keeps_its_others(tmp_path) -> None:
    made = stack.known_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    kept = json.loads(path.read_text())
    del kept["rig"]
    path.write_text(json.dumps(kept))
    again = stack.known_secrets(tmp_path)
    assert again.rig.secret not in {"", made.rig.secret}
    assert again._replace(rig=made.rig) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stack.known_secrets(tmp_path) == again


def test_what_a_rig_is_given_names_no_store_and_no_prefect(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "name:password")
    one = stack.Stack(tmp_path)
    given = one.s3_client(one.secrets.rig)
    assert set(given) == {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}


@pytest.mark.parametrize(
    ("database", "first"), [(None, [sys.executable, "-m", "flows._server"]), ("url", ["prefect", "server"])]
)
def test_over_sqlite_the_server_is_the_one_that_waits_in_line(database, first, tmp_path, monkeypatch) -> None:
    one, started = stack.Stack(tmp_path), []
    monkeypatch.setattr(one.processes, "start", lambda name, command, *_, **__: started.append(command))
    monkeypatch.setattr(one.processes, "wait_for", lambda *_: None)
    one._start_prefect(database)
    assert [command[: len(first)] for command in started] == [first]
    assert started[0][-1] == str(one.ports.prefect)

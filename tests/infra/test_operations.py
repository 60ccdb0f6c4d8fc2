"""Every command of docs/operations.md is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from flows.cli import app

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text()
PROGRAMS = ("inception-loop", "make", "python", "docker", "kubectl", "git", "prefect")


def commands() -> list[str]:
    """Return the commands of blocks and of inline code, without comments and continuations."""
    blocks = re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
    words = [re.split(r"\s+#|\s{3,}| && ", line)[0].strip() for line in lines]
    return [line for line in words if line.startswith(tuple(f"{program} " for program in PROGRAMS))]


def of(program: str) -> list[str]:
    return sorted({line for line in commands() if line.split()[0] == program})


def test_there_are_commands_to_check() -> None:
    assert len(of("inception-loop")) > 5
    assert len(commands()) > 12


IN_A_CONTAINER = [line.partition(" exec worker ")[2] for line in of("docker") if " exec worker " in line]


@pytest.mark.parametrize("line", [*of("inception-loop"), *IN_A_CONTAINER])
def test_a_command_of_this_project_parses(line) -> None:
    program, *words = shlex.split(line)
    assert program == "inception-loop"
    app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("line", of("make"))
def test_a_target_of_make_exists(line) -> None:
    target = line.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", [*of("python"), *of("docker"), *of("kubectl")])
def test_the_files_that_a_command_names_exist(line) -> None:
    for word in shlex.split(line):
        if word.startswith("infra/"):
            assert (ROOT / word).is_file()


def test_what_is_promised_of_a_setting_is_set() -> None:
    assert "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs" in TEXT
    assert (
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED: events,flow_runs"
        in (ROOT / "infra" / "compose.yaml").read_text()
    )
    assert (
        '"PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"] = "events,flow_runs"'
        in (ROOT / "infra" / "stack.py").read_text()
    )


def test_a_key_on_a_host_is_for_the_user_of_the_image_and_nobody_else() -> None:
    (installed,) = re.findall(r"^sudo install (.*)$", TEXT, re.MULTILINE)
    words = shlex.split(installed)
    said = {name: words[words.index(name) + 1] for name in ("--owner", "--group", "--mode")}
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "infra" / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert said == {"--owner": user[1], "--group": user[2], "--mode": "400"}
    assert f"{words[-1]}:/run/secrets/s3:ro" in (ROOT / "deployments" / "pools.yaml").read_text()

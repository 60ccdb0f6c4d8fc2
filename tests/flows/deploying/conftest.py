"""What the tests of deploying share: the command, and the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def deployed(call, monkeypatch, prefect_api):
    """Deploy by the command, from the project's folder; returns what became of each thing, by its name."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    monkeypatch.chdir(ROOT)

    def deployed(*words):
        said = call("deploy", *words, "--json")
        assert said.status == 0, said.err
        deployed.why = {f"{one['what']} {one['name']}": one["why"] for one in json.loads(said.out)}
        return {f"{one['what']} {one['name']}": one["state"] for one in json.loads(said.out)}

    return deployed


@pytest.fixture
def folder(tmp_path):
    """A copy of the files, to be changed."""
    return Path(shutil.copytree(ROOT / "deployments", tmp_path / "deployments"))


def but(states: dict[str, str], *left_out: str) -> dict[str, str]:
    """Return what is in another state than those that are left out."""
    return {name: state for name, state in states.items() if state not in left_out}


@pytest.fixture
def changes():
    """Function that returns what was not left alone."""
    return lambda states: but(states, "unchanged")

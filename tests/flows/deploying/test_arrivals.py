"""The place of arrivals is stored as runs will find it, or refused where they never could."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tomli_w

from flows.deploying.arrivals import missing, place, placed
from inception_loop.errors import ConfigurationError

USAGE = 2


def test_a_relative_folder_is_told_from_the_root_on(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "arrivals"
    assert place("arrivals", "local") == place(f"file://{there}", "local") == str(there)
    night = {"watch": {"folder": "arrivals", "settle_s": 1.0}, "grid": {"type": "x"}}
    assert placed(night, "local") == {**night, "watch": {"folder": str(there), "settle_s": 1.0}}
    assert placed({"folder": "s3://b/x"}, "local") == {"folder": "s3://b/x"}


def test_a_folder_that_is_not_here_is_one_line_and_one_that_is_none(tmp_path) -> None:
    told = {"watch": {"folder": str(tmp_path / "gone")}, "night": {"folder": str(tmp_path)}, "other": {}}
    (line,) = missing(told)
    assert line.startswith(f"watch: there is no folder {tmp_path / 'gone'} on this machine; expected it on ")
    assert not list(missing({"watch": {"folder": "s3://recordings/rig-1"}, "night": {"folder": None}}))


@pytest.mark.parametrize("pool", ["docker", "kubernetes"])
@pytest.mark.parametrize("folder", ["arrivals", "/data/arrivals", "file:///data", "memory://here"])
def test_containers_see_no_folder(pool, folder) -> None:
    said = (
        rf"folder '{folder}' is no bucket; expected one, .* {pool} are containers and see no folder of a host"
    )
    for values in ({"folder": folder}, {"watch": {"folder": folder}}):
        with pytest.raises(ConfigurationError, match=said):
            placed(values, pool)
    assert placed({"folder": "s3://recordings"}, pool) == {"folder": "s3://recordings"}


def test_what_deploy_is_told_is_what_stands(deployed, call, server, tmp_path) -> None:
    nowhere = os.path.relpath(tmp_path / "nowhere", Path.cwd())
    said = call("deploy", "--watch", nowhere)
    assert said.status == 0
    assert said.err == (
        f"warning: watch: there is no folder {Path.cwd() / nowhere} on this machine; "
        "expected it on the worker's; make or mount it there\n"
    )
    standing = server.read_deployment_by_name("watch/watch").parameters["parameters"]["folder"]
    assert (standing, Path(standing).is_absolute()) == (str(Path.cwd() / nowhere), True)
    file = tmp_path / "watch.toml"
    file.write_text(tomli_w.dumps({"folder": str(tmp_path)}))
    for words in (("--watch", nowhere), ("--parameters", f"watch={file}"), ()):  # (): what stands
        answer = call("deploy", *words, "--pool", "kubernetes")
        assert (answer.status, answer.out, answer.err.count("\n")) == (USAGE, "", 1)
        assert "is no bucket" in answer.err
    assert call("deploy", "--parameters", f"watch={file}").err == ""

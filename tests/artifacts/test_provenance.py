"""Whether a process still runs: sure, or left open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inception_loop.artifacts import provenance
from inception_loop.artifacts.provenance import is_gone, this_process, versions
from inception_loop.artifacts.store import open_store

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="what runs is told by /proc")


def test_this_process_runs() -> None:
    assert not is_gone(this_process())
    assert this_process() == this_process()


def test_a_process_that_ended_is_gone_even_before_its_parent_looked() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = provenance._stat(child.pid)
    assert stat is not None
    process = this_process().model_copy(update={"pid": child.pid, "started": stat.started})
    assert not is_gone(process)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert is_gone(process)
    child.communicate()
    assert is_gone(process)


def test_a_pid_that_was_given_again_is_another_process() -> None:
    here = this_process()
    assert is_gone(here.model_copy(update={"started": here.started - 1}))


@pytest.mark.parametrize("field", ["boot", "pid_namespace"])
def test_of_another_machine_or_container_nothing_is_known(field: str) -> None:
    assert not is_gone(this_process().model_copy(update={field: "another", "pid": 2**22 + 1}))


def test_a_process_that_is_hidden_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_stat", lambda pid: None)
    assert not is_gone(this_process())


def test_versions_are_found_without_importing_anything() -> None:
    found = versions()
    assert found["numpy"]
    assert found["torch"]
    code = (
        "import sys; from inception_loop.artifacts.provenance import versions; versions()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_versions_are_those_of_when_the_store_was_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    commits = iter(["opened", "", "committed-while-it-runs", ""])
    monkeypatch.setattr(provenance, "_git", lambda *_: next(commits))
    versions.cache_clear()
    try:
        open_store("memory://provenance")
        assert versions()["git"] == "opened"
    finally:
        versions.cache_clear()

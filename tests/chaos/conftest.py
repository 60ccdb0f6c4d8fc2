"""Runs of the console script that can be killed or disturbed, and what they left."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flows import cli

TOLD = "campaign"
RUN_S = 900.0  # a loop on a machine that does much else
ORPHAN_S = 60.0


class Run:
    """One ``inception-loop run loop`` in a process of its own.

    Parameters
    ----------
    folder
        Where its log goes.
    config
        TOML file.
    store
        Folder of the store.
    api
        A Prefect API to use; None: the run starts, and has to end, a temporary server.
    program
        What runs the console script.
    settings
        Of its environment.
    """

    def __init__(
        self,
        folder: Path,
        config: Path,
        store: Path,
        api: str | None,
        *,
        program: Sequence[str] = ("-m", "flows.cli"),
        **settings: str,
    ) -> None:
        self.log = folder / f"run-{time.monotonic_ns()}.log"
        # A lease of a killed run that had to time out would outlast every run of these tests.
        environment = {**os.environ, "INCEPTION_LOOP_LEASE_TTL_S": "7200", **settings}
        environment.pop("PREFECT_API_URL", None)
        if api is not None:
            environment["PREFECT_API_URL"] = api
        command = [sys.executable, *program, "run", "loop"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(config), "--store", f"file://{store}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
            )
        self.children: set[tuple[int, int]] = set()

    def text(self) -> str:
        """Return what the run has said."""
        return self.log.read_text()

    def wait_until(self, reached: Callable[[], bool]) -> bool:
        """Wait for something in the store; False if the run ended before it happened."""
        deadline = time.monotonic() + RUN_S
        while not reached():
            if self.process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                pytest.fail(f"the run stood still:\n{self.text()}")
            time.sleep(0.1)
        return True

    def kill(self) -> None:
        """Kill the process, which can do nothing about it, and see that nothing of it is left."""
        self.children = children_of(self.process.pid)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._no_orphans()

    def finish(self) -> int:
        """Wait for the end and return the exit status."""
        deadline = time.monotonic() + RUN_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self.children |= children_of(self.process.pid)
            time.sleep(0.2)
        if self.process.poll() is None:
            self.kill()
            pytest.fail(f"the run did not end in {RUN_S:.0f} s:\n{self.text()}")
        self._no_orphans()
        return self.process.returncode

    def _no_orphans(self) -> None:
        deadline = time.monotonic() + ORPHAN_S
        while (left := alive(self.children)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"outlived their parent: {left}"


def children_of(parent: int) -> set[tuple[int, int]]:
    """Return (pid, start in ticks) of the children of a process."""
    found = ((int(path.name), stat(int(path.name))) for path in Path("/proc").glob("[0-9]*"))
    return {(pid, fields[1]) for pid, fields in found if fields is not None and fields[0] == parent}


def alive(processes: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return those of some (pid, start) that still run."""
    return {(pid, start) for pid, start in processes if (stat(pid) or (0, -1))[1] == start}


def stat(pid: int) -> tuple[int, int] | None:
    """Return (parent's pid, start in ticks) of a process that runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else (int(fields[1]), int(fields[19]))


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keep a line with the counts of a campaign; all of them are printed when the tests are through."""
    return lambda text: record_property(TOLD, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties if report.when == "call" else ():
            if name == TOLD:
                terminalreporter.write_line(f"{report.nodeid.partition('::')[2]}: {text}")


@pytest.fixture
def start(tmp_path: Path, tiny: ModuleType) -> Iterator[Callable[..., Run]]:
    """Start runs of the tiny loop; whatever still runs at the end of the test is ended."""
    config = tmp_path / "tiny.toml"
    config.write_text(tiny.as_toml(tiny.tiny_parameters()))
    runs: list[Run] = []

    def begin(store: Path, api: str | None, **more: Any) -> Run:
        runs.append(Run(tmp_path, config, store, api, **more))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"chaos_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def books() -> ModuleType:
    """What a store says of how it came about; see books.py."""
    return _beside("books")


@pytest.fixture(scope="session")
def serving() -> ModuleType:
    """A Prefect server and a worker that can be killed; see serving.py."""
    return _beside("serving")


@pytest.fixture
def run_loop(
    tmp_path: Path,
    tiny: ModuleType,
    prefect_api: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], str]:
    """Run the tiny loop by the console script, in this process.

    Returns nothing where it came to its end, else the one line of its error.
    """
    config = tmp_path / "tiny.toml"
    config.write_text(tiny.as_toml(tiny.tiny_parameters()))

    def run(uri: str) -> str:
        monkeypatch.setenv("INCEPTION_LOOP_STORE", uri)  # --store sets it; this puts it back
        with pytest.raises(SystemExit) as ended:
            cli.main(["run", "loop", "--config", str(config), "--store", uri])
        said = capfd.readouterr().err
        if ended.value.code == cli.DONE:
            return ""
        last = said.splitlines()[-1]
        assert ended.value.code == cli.FAILED, said
        assert last.startswith("error: "), said
        assert said.count("error: ") == 1, said
        assert "Traceback" not in said, said
        assert "unexpected" not in last, said
        return last

    return run

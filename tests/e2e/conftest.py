"""A lab's own services as processes: a Prefect server with its UI, a worker, a store on disk, a browser.

Everything listens on the loopback interface, at free ports, over folders of its own. A module's fixtures:
a browser's driver keeps an event loop in the thread that Prefect's client of other tests would need.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
READY_S = 600.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
INSTALL = "Chromium is missing; install it (Debian: apt-get install chromium)"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
"""No word to the outside: the UI's own script would ask for its maker's settings."""
PATIENCE_MS = 300_000
"""A shared machine may be busy; nothing here waits for a time to pass."""
INHERITED = ("PREFECT_", "AWS_", "INCEPTION_LOOP_")
"""Names of settings that the person who runs the tests may have, and the services shall not."""
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Services:
    """A Prefect server and a worker on one machine, as `make stack` starts them."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.store = f"file://{folder}/store"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._api = httpx.Client(base_url=f"{self.url}/api/", timeout=60, trust_env=False)

    @property
    def environment(self) -> dict[str, str]:
        """What the processes share. The services look often, since nobody waits for a night here."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED)}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "INCEPTION_LOOP_STORE": self.store,
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_UI_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(self.folder / "ui"),
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "2",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }

    def call(self, *words: str) -> str:
        """Run a command beside the services as a person would, and return what it said."""
        done = subprocess.run(words, env=self.environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def start(self, name: str, *words: str) -> None:
        """Start a process that goes on, with a log of its own."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    words,
                    env=self.environment,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def ask(self, path: str, body: Any = None) -> Any:
        """Post to the API, or get where there is nothing to post."""
        return self._send("GET" if body is None else "POST", path, body).json()

    def drop(self, path: str) -> None:
        """Delete through the API."""
        self._send("DELETE", path)

    def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send a request; again, as Prefect's own client does, where the database is busy."""
        while True:
            answer = self._api.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer.raise_for_status()
            time.sleep(0.5)

    def deployment(self, name: str) -> str:
        """Return the id of a deployment; it is called as its flow."""
        return str(self.ask(f"deployments/name/{name}/{name}")["id"])

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """Return the runs of a deployment, the one expected first before the others."""
        listed = {"deployments": {"id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.ask("flow_runs/filter", listed)
        return found

    def ended(self, run: str) -> dict[str, Any]:
        """Wait until a run has ended and return it."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask(f"flow_runs/{run}")
            return found if found["state_type"] in ENDED else None

        met: dict[str, Any] = self.until(f"run {run} ends", look)
        return met

    def until(self, what: str, met: Callable[[], Any], seconds: float = READY_S) -> Any:
        """Wait until a condition holds and return what it found; an ended process fails at once."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := met():
                    return found
            except httpx.TransportError:
                pass
            if any(process.poll() is not None for process in self._processes):
                break
            time.sleep(0.25)
        logs = [
            f"{log.name}:\n{log.read_text(errors='replace')[-3000:]}" for log in self.folder.glob("*.log")
        ]
        pytest.fail(f"not within {seconds:.0f} s: {what}\n" + "\n".join(logs))

    def stop(self) -> None:
        """End exactly the processes that were started, the last before the others, and what they started."""
        self._api.close()
        for process in reversed(self._processes):
            runs = psutil.Process(process.pid).children(recursive=True)  # each a session of its own
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for run in runs:
                with contextlib.suppress(psutil.NoSuchProcess):
                    run.kill()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Services]:
    """A server with the project's deployments, and a worker that waits for runs."""
    made = Services(tmp_path_factory.mktemp("services"), free_port())
    try:
        made.start("server", sys.executable, "-m", "flows._server", made.url.rpartition(":")[2])
        made.until("the server answers", lambda: made.ask("health"))
        made.call("inception-loop", "deploy")
        made.start("worker", "prefect", "worker", "start", "--pool", "local", "--limit", "1")
        made.until("the worker is online", lambda: _is_online(made))
        yield made
    finally:
        made.stop()


def _is_online(services: Services) -> bool:
    workers = services.ask("work_pools/local/workers/filter", {"limit": 1})
    return bool(workers) and workers[0]["status"] == "ONLINE"


class Ui:
    """The UI as a person has it before them: pages, forms, and pictures of both, kept as test artifacts."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self._url, self._pictures = f"{url}/v2", pictures

    def open(self, address: str) -> None:
        """Open a page of the UI by its address."""
        self.page.goto(self._url + address)

    def field(self, name: str) -> Locator:
        """Find a field of a form with its explanation, by its name."""
        label = self.page.get_by_text(re.compile(rf"^{name}( \(Optional\))?$"))
        return self.page.locator("div.group").filter(has=label).last

    def fill(self, name: str, value: str) -> None:
        """Type into a field."""
        self.field(name).get_by_role("textbox").or_(self.field(name).get_by_role("spinbutton")).fill(value)

    def choose(self, name: str, form: str, value: str) -> None:
        """Say that an optional field is given, in which form, and choose one of its values."""
        self.field(name).get_by_role("tab", name=form, exact=True).click()
        self.field(name).get_by_role("button", name="Select").click()
        self.page.get_by_role("option", name=value, exact=True).click()

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def submit(self) -> None:
        """Send a form, which is taken."""
        self.press("Submit")
        taken = self.page.get_by_role("button", name="View run", exact=True)
        expect(taken).to_be_visible(timeout=PATIENCE_MS)

    def turn_to(self, name: str) -> None:
        """Turn to another tab of the page."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def sees(self, text: str) -> None:
        """Wait until a text is on the page."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE_MS)

    def photograph(self, name: str) -> None:
        """Keep a picture of the whole page."""
        self.page.screenshot(path=self._pictures / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def ui(services: Services) -> Iterator[Ui]:
    """A browser before the UI of the services."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip(INSTALL)
    assert CHROMIUM is not None, INSTALL
    pictures = Path(os.environ.get("TEST_ARTIFACTS") or ROOT / "outputs" / "tests") / "ui"
    pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        yield Ui(page, services.url, pictures)
        browser.close()

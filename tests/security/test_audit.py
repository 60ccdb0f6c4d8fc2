"""The audit of dependencies: finds what is unpinned, unlicensed or known to be holed; offline it says so."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 1)
CLOSED = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "infra" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def service(holes: dict[str, str]) -> Iterator[tuple[str, list[Any]]]:
    """Answer as the service of advisories does, with these holes by package name."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            asked.extend(queries)
            names = [query["package"]["name"] for query in queries]
            results = [{"vulns": [{"id": holes[name]}]} if name in holes else {} for name in names]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"results": results}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def made(audit: Any, **requires: list[str]) -> dict[str, Any]:
    """Return packages of version 1 under MIT, by name, with what each requires."""
    return {
        name.replace("_", "-"): audit.Package(
            name.replace("_", "-"), "1", ("MIT",), tuple(map(Requirement, wanted))
        )
        for name, wanted in requires.items()
    }


def test_this_environment_is_pinned_and_licensed_and_offline_is_said(audit: Any, capsys: Any) -> None:
    status = audit.main(["--service", CLOSED])
    said = capsys.readouterr().out
    assert status == 0, said
    assert f"audit: known holes skipped: {CLOSED} does not answer\n" in said
    assert "audit: nothing found\n" in said


def test_a_known_hole_fails_the_audit_and_every_package_was_asked_for(audit: Any, capsys: Any) -> None:
    with service({"numpy": "GHSA-aaaa-bbbb-cccc"}) as (url, asked):
        assert audit.main(["--service", url]) == 1
    said = capsys.readouterr().out
    assert "has the known hole GHSA-aaaa-bbbb-cccc (https://osv.dev/GHSA-aaaa-bbbb-cccc)" in said
    assert {"torch", "prefect", "duckdb", "s3fs"} <= {query["package"]["name"] for query in asked}
    assert all("+" not in query["version"] for query in asked)


def test_a_service_that_answers_nonsense_counts_as_not_there(audit: Any) -> None:
    with service({}) as (url, _):
        assert audit.advisories(made(audit, a=[]).values(), url) == {}
        assert audit.advisories(made(audit, a=[]).values(), f"{url}../") == {}
    assert audit.advisories(made(audit, a=[]).values(), CLOSED) is None


@pytest.mark.parametrize(
    ("ignored", "said"),
    [
        ({}, "take another version"),
        ({"G-1": {"until": date(2027, 1, 1), "reason": " "}}, "take another version"),
        ({"G-1": {"until": date(2026, 10, 1), "reason": "not called"}}, "held until 2026-10-01"),
        ({"G-1": {"until": date(2027, 1, 1), "reason": "not called"}}, None),
    ],
    ids=["not listed", "no reason", "over", "listed"],
)
def test_a_hole_is_ignored_with_a_reason_that_still_holds_only(audit: Any, ignored: Any, said: Any) -> None:
    found = list(audit.open_holes({"a 1": ["G-1"]}, ignored, TODAY))
    assert (said is None) == (found == [])
    assert said is None or said in found[0]


def test_what_is_needed_and_not_pinned_is_named(audit: Any) -> None:
    packages = made(audit, inception_loop=["a", "b[x]; extra == 'dev'"], a=[], b=["c>2; extra == 'x'"], c=[])
    packages |= made(audit, pip=[])
    assert audit.needed(packages) == {"a", "b", "c"}
    found = list(audit.unpinned(packages, {"a": "2", "b": "1"}))
    assert [line.partition(";")[0] for line in found] == [
        "a is 1",
        "c 1 is needed but not pinned",
    ]
    clash = made(audit, inception_loop=["a"], a=["c>2"], c=[])
    assert "a wants c>2; got 1" in next(audit.unpinned(clash, {"a": "1", "c": "1"}))
    gone = made(audit, inception_loop=["a"])
    assert list(audit.unpinned(gone, {"a": "1"})) == ["a is needed but not installed; run: make setup"]


def test_a_file_of_pins_has_nothing_but_pins(audit: Any) -> None:
    text = "# why\na==1\nA==2\nb>=1\nc @ https://host/c.whl\n--index-url https://host\nd==1.0+cpu\n"
    found, wrong = audit.pins(text)
    assert found == {"a": "1", "d": "1.0+cpu"}
    assert len(wrong) == 4


def test_licences_that_nobody_allowed_are_named(audit: Any) -> None:
    rules = {"allowed": ["MIT", "Apache-2.0"], "exceptions": {"c": "a reason", "d": " "}}
    said = {"a": ("MIT", "Apache-2.0"), "b": ("GPL-3.0",), "c": ("GPL-3.0",), "d": ("Own",), "e": ()}
    packages = [audit.Package(name, "1", licences, ()) for name, licences in said.items()]
    found = list(audit.unlicensed(packages, rules))
    assert [line.partition(" ")[0] for line in found] == ["b", "d", "e"]
    assert "no licence that it names" in found[-1]


def test_continuous_integration_runs_it() -> None:
    assert "make audit" in (ROOT / ".ci" / "run").read_text().splitlines()
    assert "infra/audit.py" in (ROOT / "Makefile").read_text()

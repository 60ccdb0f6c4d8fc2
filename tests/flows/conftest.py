"""Every flow test has the shared Prefect server; commands are called as a person types them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows import cli


@pytest.fixture(scope="session", autouse=True)
def _server(prefect_api: str) -> None:
    """Start it before the first test."""


class Said(NamedTuple):
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call the console script in this process."""
    monkeypatch.setenv("INCEPTION_LOOP_STORE", "memory://nobody-named-a-store")  # put back after the test

    def call(*words: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in words])
        return Said(int(str(ended.value.code)), *capsys.readouterr())

    return call


@pytest.fixture
def without_prefect_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave processes that a test starts to find a Prefect server of their own."""
    monkeypatch.delenv("PREFECT_API_URL")
    assert "PREFECT_API_URL" not in os.environ


def emptied(client: SyncPrefectClient) -> None:
    """Leave nothing on the server that was deployed to it."""
    for deployment in client.read_deployments(limit=200):
        client.delete_deployment(deployment.id)
    for automation in client.read_automations():
        client.delete_automation(automation.id)
    for pool in client.read_work_pools():
        client.delete_work_pool(pool.name)
    for variable in client.read_variables():
        client.delete_variable_by_name(variable.name)


@pytest.fixture(scope="module")
def server(prefect_api: str) -> Iterator[SyncPrefectClient]:
    """A client of the server, which has nothing deployed before and after a file of tests."""
    with get_client(sync_client=True) as client:
        emptied(client)
        yield client
        emptied(client)

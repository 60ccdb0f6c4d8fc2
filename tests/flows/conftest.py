"""One Prefect server for all flow tests, with a home of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh ``PREFECT_HOME``: results of earlier test sessions must not leak into this one."""
    return tmp_path_factory.mktemp("prefect-home")


@pytest.fixture(scope="session", autouse=True)
def prefect_api(prefect_home: Path) -> Iterator[str]:
    """A temporary Prefect server for the whole session."""
    os.environ.update(
        PREFECT_HOME=str(prefect_home),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
        PREFECT_LOGGING_LEVEL="WARNING",
    )
    os.environ.pop("PREFECT_API_URL", None)
    from flows._server import prefect_server

    with prefect_server() as url:
        yield url

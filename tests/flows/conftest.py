"""Every flow test has the shared Prefect server."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _server(prefect_api: str) -> None:
    """Start it before the first test."""

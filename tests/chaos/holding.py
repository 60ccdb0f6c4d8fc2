"""A deployed flow that holds its slot until it is told to end."""

from __future__ import annotations

import time
from pathlib import Path

import prefect.concurrency._leases as leases
from prefect import flow

leases._RENEWAL_FRACTION = 0.01  # of 300 s; otherwise every 225 s, and Prefect has no setting for it


@flow
def holding(folder: str) -> None:
    """Hold a slot until there is a file ``end``."""
    (Path(folder) / "began").touch()
    while not (Path(folder) / "end").exists():
        time.sleep(0.2)

"""Stages begin also where Prefect's server is away just then.

Within a run Prefect's clients ask again, up to eight minutes as deployed, but only those that have reached
the server before, and each stage of a loop is begun by a client of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import httpx

from flows import _interrupt
from flows.observing import say

R = TypeVar("R")

PATIENCE_S = 480.0
PAUSE_S = 2.0


def patiently(stage: str, begin: Callable[[], R]) -> R:
    """Begin a stage, and again while the server cannot be reached.

    A stage that was under way when it failed so goes on from what stands in the store.

    Parameters
    ----------
    stage
        What a person calls it.
    begin
        Runs it.

    Raises
    ------
    httpx.ConnectError
        If the server stays away.
    """
    deadline, told = time.monotonic() + PATIENCE_S, False
    while True:
        try:
            return begin()
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            if not told:
                say(stage, "Prefect's server does not answer; this stage begins once it does")
            told = True
        _interrupt.check()
        time.sleep(PAUSE_S)

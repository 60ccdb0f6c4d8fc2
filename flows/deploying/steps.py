"""What deploying will do to one thing on a server, known before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Change(NamedTuple):
    """What deploying did, or would do, to one thing on the server.

    Attributes
    ----------
    what, name
        The thing.
    state
        ``created``, ``changed``, ``unchanged``, ``removed``, or ``kept``: not as the files say, and left so.
    why
        In words, where the state alone does not say it.
    """

    what: str
    name: str
    state: str
    why: str = ""


class Step(NamedTuple):
    """A change, and what brings it about."""

    change: Change
    act: Callable[[], Any]


def step(what: str, name: str, before: object, after: object, act: Callable[[], Any], why: str = "") -> Step:
    """Return the step from what stands (None: nothing) to what is wanted; none where they agree."""
    if before == after:
        return left(what, name, "unchanged", why)
    return Step(Change(what, name, "created" if before is None else "changed", why), act)


def left(what: str, name: str, state: str, why: str = "") -> Step:
    """Return the step that leaves a thing as it is."""
    return Step(Change(what, name, state, why), lambda: None)

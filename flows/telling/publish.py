"""The one place that writes Prefect artifacts, what a person sees in the UI. Outside a run: nothing."""

from __future__ import annotations

import base64
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from itertools import accumulate
from typing import cast
from uuid import UUID, uuid4

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.context import FlowRunContext, SettingsContext, TaskRunContext, get_settings_context

_IMAGE = re.compile(r"!\[")
_LINK = re.compile(r"\](?=\((?!https?://)|\[|:)")  # also to what is defined elsewhere
LIMIT_BYTES = 100_000
"""Prefect artifacts are for looking at; whatever is larger belongs into the store."""
_PROGRESS_S = 1.0


@contextmanager
def _if_served(lost: str = "") -> Iterator[None]:
    """Let no run fail since the server did not answer: what it would have shown is lost, the work is not."""
    try:
        yield
    except (httpx.TransportError, httpx.HTTPStatusError) as error:
        if (
            isinstance(error, httpx.HTTPStatusError)
            and error.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        ):
            raise
        if lost:
            get_run_logger().warning(
                "Prefect's server does not answer (%s): %s is not shown in its UI; the run goes on",
                type(error).__name__,
                lost,
            )


def in_run() -> bool:
    """Whether the caller runs inside a Prefect flow or task run."""
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def task_run_id() -> str:
    """Return Prefect's id of the step that calls, or one of its own outside a run."""
    found = TaskRunContext.get()
    return str(found.task_run.id if found is not None else uuid4())


def table(key: str, rows: Sequence[Mapping[str, object]], description: str = "", *, state: str = "") -> None:
    """Publish a table under ``key``: lowercase, digits and dashes. Values become plain Python.

    Of one that is too long the beginning is shown, and said how many more there are; of these, if ``state``
    names a column, how many of each value.
    """
    if in_run() and rows:
        plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
        shown = _fitting(plain)
        words = "; ".join(filter(None, [description, _left_out(plain[len(shown) :], state)]))
        with _if_served(f"the table {key}"):
            create_table_artifact(table=shown, key=_key(key), description=words)


def markdown(key: str, text: str, description: str = "") -> None:
    """Publish a text in Markdown under ``key``."""
    if in_run():
        with _if_served(f"the text {key}"):
            create_markdown_artifact(
                markdown=defused(text[:LIMIT_BYTES]), key=_key(key), description=defused(description)
            )


def defused(text: str) -> str:
    r"""Return Markdown in which names that a lab gave are no HTML, load nothing, lead to web pages at most.

    Examples
    --------
    >>> defused("<b> ![a](http://x) [b](javascript:x) [c](https://y)")
    '&lt;b> !\\[a](http://x) [b]\\(javascript:x) [c](https://y)'
    """
    return _LINK.sub(r"\g<0>\\", _IMAGE.sub(r"!\\[", text.replace("<", "&lt;")))


def picture(key: str, png: bytes, description: str = "", *, link: str | None = None) -> None:
    """Publish a PNG under ``key``: by its address if it has one that a browser can open.

    Otherwise in the artifact itself, which Prefect's UI shows too, and prints under it. One too large for
    that stays in the store.
    """
    if in_run() and (link or len(png) <= LIMIT_BYTES):
        data = link or f"data:image/png;base64,{base64.b64encode(png).decode()}"
        with _if_served(f"the picture {key}"):
            create_image_artifact(data, key=_key(key), description=description)


class Progress:
    """Progress of one task as a Prefect artifact, written at most once a percent and once a second."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._id: UUID | None = None
        self._percent = -1
        self._written_at = -math.inf

    def update(self, done: float, total: float) -> None:
        """Record that ``done`` of ``total`` is through."""
        percent = int(100 * done / total) if total else 100
        now = time.monotonic()
        early = now - self._written_at < _PROGRESS_S and done < total
        if not in_run() or percent == self._percent or early:
            return
        self._percent, self._written_at = percent, now
        # At once or not at all: the next percent comes, and the work does not wait for it.
        with _if_served(), _asking_once():
            if self._id is None:
                made = create_progress_artifact(progress=float(percent), description=self._description)
                self._id = cast(UUID, made)  # a coroutine only in an async caller
            else:
                update_progress_artifact(artifact_id=self._id, progress=float(percent))


def _asking_once() -> SettingsContext:
    """Return settings to enter in which Prefect's client asks a single time.

    Prefect's own ``temporary_settings`` reads environment and files anew, for 30 ms and more.
    """
    now = get_settings_context()
    client = now.settings.client.model_copy(update={"max_retries": 0})
    return SettingsContext(profile=now.profile, settings=now.settings.model_copy(update={"client": client}))


def _key(key: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in key.lower()).strip("-")


def _plain(value: object) -> object:
    item = getattr(value, "item", None)  # a numpy scalar; Prefect takes plain Python only
    return item() if callable(item) else value


def _fitting(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    sizes = accumulate(len(repr(row)) + 2 for row in rows)
    fits = sum(size <= LIMIT_BYTES for size in sizes)
    return rows[: max(1, fits)]


def _left_out(rows: Sequence[Mapping[str, object]], state: str) -> str:
    """Say how many rows are not shown.

    Examples
    --------
    >>> _left_out([{"state": "already there"}] * 500, "state")
    '… and 500 more, already there'
    """
    counts = Counter(str(row[state]) for row in rows if state)
    states = ", ".join(counts if len(counts) == 1 else (f"{n} {one}" for one, n in sorted(counts.items())))
    return f"… and {len(rows)} more{', ' if states else ''}{states}" if rows else ""

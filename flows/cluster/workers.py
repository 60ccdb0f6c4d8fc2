"""What the workers of a scheduler that others keep must have in common with the run that uses them."""

from __future__ import annotations

import platform
import urllib.error
import urllib.request
import uuid
from importlib import metadata

from distributed import Client
from prefect.settings import PREFECT_API_URL

from inception_loop.artifacts.probing import PROBES
from inception_loop.artifacts.provenance import versions
from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError, InceptionLoopError
from inception_loop.settings import Settings

TRANSPORT = ("prefect", "prefect-dask", "dask", "distributed", "cloudpickle")


def facts() -> dict[str, str]:
    """Return what has to be equal in all processes of a run: what shapes a result, and what carries steps."""
    carriers = {name: metadata.version(name) for name in TRANSPORT}
    return {"python": platform.python_version(), **versions(), **carriers}


def look(store: str, mark: str, api: str | None) -> tuple[dict[str, str], str]:
    """Return the facts of a worker, and in words what it lacks: the run's store, or its Prefect server."""
    lacks = ""
    try:
        own = Settings().store
        if own != store:
            lacks = f"works in the store {own}; expected {store} (its INCEPTION_LOOP_STORE)"
        elif open_store(own).backend.read(mark) is None:
            lacks = f"has a {store} of its own, without what this run wrote into it; expected the run's"
    except InceptionLoopError as error:
        lacks = f"cannot read the run's store: {error}"
    return facts(), lacks or _unreached(api)


def _unreached(api: str | None) -> str:
    try:
        if api:
            with urllib.request.urlopen(f"{api}/health", timeout=10):
                pass
    except urllib.error.HTTPError:
        return ""  # it answers
    except (urllib.error.URLError, OSError, ValueError) as error:
        return f"does not reach the run's Prefect server at {api}: {error}; expected an answer"
    return ""


def refuse_unlike(client: Client, where: str) -> None:
    """Look at every worker before the first step.

    Raises
    ------
    ConfigurationError
        If there is none, or one has other versions, another store, or no way to the Prefect server.
    """
    store = open_store()
    mark = f"{PROBES}/{uuid.uuid4().hex}"
    store.backend.create(mark, b"seen")
    try:
        found = client.run(look, Settings().store, mark, PREFECT_API_URL.value(), on_error="return")
    finally:
        store.backend.remove([mark])
    if not found:
        raise ConfigurationError(
            f"the scheduler {where} has no workers; expected one or more; start them: "
            f"dask worker {where} --nthreads 1"
        )
    mine = facts()
    for worker, answer in sorted(found.items()):
        if problem := _problem(mine, answer):
            raise ConfigurationError(f"worker {worker} of {where} {problem}; correct it, or end that worker")


def _problem(mine: dict[str, str], answer: tuple[dict[str, str], str] | Exception) -> str:
    if isinstance(answer, Exception):
        return f"cannot run this project ({type(answer).__name__}: {answer}); expected it to be installed"
    theirs, lacks = answer
    for name in sorted(mine.keys() | theirs.keys()):
        here, there = mine.get(name, "none"), theirs.get(name, "none")
        if here != there:
            return f"has {name} {there}; expected {here}, as this process"
    return lacks

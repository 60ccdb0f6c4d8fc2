"""A run that a person starts at the terminal: looked over first, then watched, interruptible, in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flows import _interrupt
from flows._server import prefect_server
from flows._stage import configured_store
from flows.cluster.runner import check_cluster
from flows.console import Console
from flows.doctor import prefect_server_finding
from flows.observing import observed
from inception_loop.animals.recorded import open_animal
from inception_loop.animals.twin import TwinConfig
from inception_loop.artifacts.identity import Config
from inception_loop.errors import ConfigurationError
from inception_loop.parameters import LoopParameters, PresentParameters
from inception_loop.settings import Settings


def run_locally(flow: Callable[[Any], Any], parameters: Config, *, quiet: bool, title: str) -> Any:
    """Run a flow on this machine and return its result; what can be known to be wrong is said before.

    Raises
    ------
    InceptionLoopError
        What is wrong, or what the run failed with.
    """
    check_animal(parameters)
    check_cluster(Settings())
    store = configured_store()
    store.probe()
    check_api()
    with Console(quiet=quiet) as console, _interrupt.handled():
        console.say(f"{title}, store {store.uri}")
        with prefect_server() as url, observed(console):
            console.say(f"Prefect UI of this run: {url.removesuffix('/api')}")
            return flow(parameters)


def check_animal(parameters: Config) -> None:
    """Refuse a twin's file that is given but is none, or is another one than the parameters name.

    A file that is not given is no fault here: a run that finds everything in the store needs none.

    Raises
    ------
    ConfigurationError
        If so.
    """
    if isinstance(parameters, LoopParameters):
        animal = parameters.animal
    elif isinstance(parameters, PresentParameters):
        animal = parameters.day.animal
    else:
        return
    if isinstance(animal, TwinConfig) and parameters.twin_path is not None:
        open_animal(animal, parameters.twin_path)


def check_api() -> None:
    """Refuse a configured Prefect server that does not answer.

    Raises
    ------
    ConfigurationError
        If so.
    """
    found = prefect_server_finding()
    if not found.good:
        raise ConfigurationError(f"PREFECT_API_URL: {found.found}; expected a running one; {found.advice}")

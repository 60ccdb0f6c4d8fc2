"""What shall be on a server: what the files in ``deployments/`` say, and what a lab says beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from flows.deploying.night import Night
from inception_loop.errors import ConfigurationError


class Given(NamedTuple):
    """What a lab says when it deploys; what it does not say stays as it is on the server.

    Attributes
    ----------
    parameters
        Of deployments, by name.
    folder
        The one that *watch* looks at.
    night
        When *night* begins.
    scheduled
        Deployments that run by themselves once there is a folder to look at.
    """

    parameters: Mapping[str, Mapping[str, Any]] = {}
    folder: str | None = None
    night: Night | None = None
    scheduled: frozenset[str] = frozenset()


class Wanted(NamedTuple):
    """What the files say, and what a lab says.

    Attributes
    ----------
    project
        Whose deployments they are: those of other projects are never touched.
    place
        Where runs happen: a name of the pools' file.
    deployments, pools, automations
        As in the files; pools are those of one place.
    folder
        Where the files lie.
    given
        What the lab says.
    """

    project: str
    place: str
    deployments: list[dict[str, Any]]
    pools: list[dict[str, Any]]
    automations: list[dict[str, Any]]
    folder: Path
    given: Given


def flow_of(one: Mapping[str, Any]) -> Flow[..., Any]:
    """Return the flow that a deployment of the files runs."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(one["entrypoint"])
    return flow


def full_name(one: Mapping[str, Any]) -> str:
    """Return what a deployment of the files is called on a server: the flow, then its own name."""
    return f"{flow_of(one).name}/{one['name']}"


def read_wanted(folder: Path, place: str, given: Given | None = None) -> Wanted:
    """Read ``prefect.yaml``, ``pools.yaml`` and ``automations.yaml`` of a folder.

    Raises
    ------
    ConfigurationError
        If one is missing or no YAML, or there is no such place or deployment.
    """
    given = given or Given()
    said, places = read_yaml(folder / "prefect.yaml"), read_yaml(folder / "pools.yaml")
    if place not in places:
        raise ConfigurationError(
            f"{folder / 'pools.yaml'} has no place {place!r}; expected one of {', '.join(places)}"
        )
    names = {one["name"] for one in said["deployments"]}
    unknown = sorted({*given.parameters, *(given.scheduled if given.folder else ())} - names)
    if unknown:
        raise ConfigurationError(
            f"there is no deployment {unknown[0]!r}; expected one of {', '.join(sorted(names))}"
        )
    automations = read_yaml(folder / "automations.yaml")["automations"]
    return Wanted(said["name"], place, said["deployments"], places[place], automations, folder, given)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one of the files.

    Raises
    ------
    ConfigurationError
        If it is missing or no YAML.
    """
    try:
        return dict(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}; expected the project's folder deployments"
        ) from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path} is no YAML: {error}; correct it") from error

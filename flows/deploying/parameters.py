"""What the runs of a deployment are given: what a lab says, and else what it has said before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from prefect import Flow
from prefect.client.schemas.responses import DeploymentResponse
from pydantic import ValidationError

from flows.deploying.wanted import Given
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import ConfigurationError
from inception_loop.parameters import parse

WATCH = "watch"
"""Name of the deployment that is told which folder is looked at."""


def parameters_for(given: Given, one: Mapping[str, Any], found: DeploymentResponse | None) -> dict[str, Any]:
    """Return the parameters of a deployment: what stands, and over it what is given.

    A file of parameters replaces those that stand; a folder to look at replaces the folder alone.
    """
    standing = {**one.get("parameters", {}), **({} if found is None else found.parameters)}
    name = one["name"]
    if name in given.parameters:
        standing["parameters"] = dict(given.parameters[name])
    if name == WATCH and given.folder is not None:
        standing["parameters"] = {**standing.get("parameters", {}), "folder": given.folder}
    return standing


def watched_folder(found: DeploymentResponse | None) -> str | None:
    """Return the folder that a server's *watch* looks at; None before anybody said one."""
    values = {} if found is None else found.parameters.get("parameters", {})
    folder: str | None = values.get("folder") if isinstance(values, Mapping) else None
    return folder


def checked(flow: Flow[..., Any], one: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that do not fit a flow, as those of an older version may.

    What is missing is no fault where nothing runs by itself: a person fills in the form.

    Raises
    ------
    ConfigurationError
        One line: the deployment, what is wrong, and what to do.
    """
    fault = next(_faults(flow, parameters, lacking=bool(one.get("schedules"))), None)
    if fault is not None:
        raise ConfigurationError(
            f"the parameters that deployment {flow.name}/{one['name']} has on the server do not fit its "
            f"flow: {fault}; nothing was deployed; say them anew: "
            f"inception-loop deploy --parameters {one['name']}=FILE.toml"
        )


def _faults(flow: Flow[..., Any], parameters: Mapping[str, Any], *, lacking: bool) -> Iterator[str]:
    """Yield what is wrong with parameters; that one is missing only where ``lacking`` is one."""
    hints = get_type_hints(flow.fn, include_extras=True)
    yield from (f"there is no parameter {key!r}" for key in parameters if key not in hints)
    for key, values in parameters.items():
        model = next((part for part in get_args(hints.get(key)) if _is_config(part)), None)
        if model is None:
            continue
        try:
            parse(model, values, meant=_any_of_the_name)
        except ConfigurationError as error:
            cause = error.__cause__
            found = cause.errors() if isinstance(cause, ValidationError) else []
            if lacking or {one["type"] for one in found} != {"missing"}:
                yield str(error)


def _is_config(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, Config)


def _any_of_the_name(name: str) -> ArtifactRef:
    """Stand for the artifact that a run will look up in its store."""
    kind, digest = name.partition("/")[0], "0" * 64
    return ArtifactRef(kind=kind, digest=digest, uri=f"memory://any/{kind}/{digest}")

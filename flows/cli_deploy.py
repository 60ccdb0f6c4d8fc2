"""``inception-loop deploy``: what can be run, where and when, on a Prefect server."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from inception_loop.errors import ConfigurationError

SCHEDULED = frozenset({"watch", "night"})
"""What runs by itself once a lab has said where recordings arrive."""


def deploy_all(
    *,
    watch: str | None = None,
    parameters: Annotated[list[str] | None, Parameter(name="--parameters")] = None,
    pool: Literal["local", "docker", "kubernetes"] = "local",
    dry_run: bool = False,
    deployments: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Tell a Prefect server (PREFECT_API_URL) what can be run, where and when; twice is as good as once.

    Example: ``inception-loop deploy --watch /data/arrivals --parameters night=night.toml``

    Schedules are inactive until a folder to watch is given. Parameters that a lab has set, and schedules
    and automations that it has switched on or off, are left as they are.

    Parameters
    ----------
    watch
        Folder or bucket prefix that recordings arrive in; the flows watch and night then run by themselves.
    parameters
        ``--parameters NAME=FILE.toml``, any number of times: what the runs of a deployment are given, as in
        ``run NAME --config FILE.toml``.
    pool
        Where runs happen, see deployments/pools.yaml: processes of one machine, containers, or a cluster.
    dry_run
        Say what would be done, and do nothing.
    deployments
        Folder of the files; by default ``deployments`` here or, if there is none, that of the project.
    json_
        Print JSON instead of words.
    """
    if not os.environ.get("PREFECT_API_URL"):
        raise ConfigurationError(
            "PREFECT_API_URL is not set; expected the address of a Prefect server, such as "
            "http://127.0.0.1:4200/api; start one (make stack, or prefect server start) and set it"
        )
    from flows._local import check_api

    check_api()
    from flows.deploying import deploy, read_wanted

    given = _given(parameters or [], watch)
    active = SCHEDULED if watch is not None else frozenset()
    wanted = read_wanted(deployments or files(), pool, given, active)
    changes = deploy(wanted, dry_run=dry_run)
    if json_:
        sys.stdout.write(json.dumps([change._asdict() for change in changes], indent=2) + "\n")
        return 0
    lines = [f"{one.state:>9}  {one.what} {one.name}" for one in changes if one.state != "unchanged"]
    counts = Counter(one.state for one in changes)
    said = ", ".join(f"{counts[state]} {state}" for state in ("created", "changed", "unchanged"))
    lines.append(f"{said}{' (nothing was done: --dry-run)' if dry_run else ''}")
    sys.stdout.writelines(f"{line}\n" for line in [*lines, *_next(wanted.pools, watch)])
    return 0


def files() -> Path:
    """Return the folder of the files: here, else where the package was installed from."""
    found = (Path("deployments"), *(Path(__file__).parents[level] / "deployments" for level in (0, 1)))
    return next((folder for folder in found if (folder / "prefect.yaml").is_file()), found[0])


def _given(texts: Sequence[str], watch: str | None) -> dict[str, Mapping[str, Any]]:
    """Return the parameters of deployments, checked as a run would check them."""
    from flows.cli import read_toml
    from flows.run_stage import STAGES, parameters_of
    from inception_loop.parameters import parse

    given: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, is_given, path = text.partition("=")
        if not is_given:
            raise ConfigurationError(f"--parameters got {text!r}; expected NAME=FILE.toml")
        given[name] = read_toml(Path(path))
    if watch is not None:
        given["watch"] = {**given.get("watch", {}), "folder": watch}
    for name, values in given.items():
        stage = {"inception-loop": "loop"}.get(name, name)
        if stage not in STAGES:
            raise ConfigurationError(
                f"--parameters names the deployment {name!r}; expected one of {', '.join(STAGES)}"
            )
        model = parameters_of(stage)
        given[name] = parse(model, values).model_dump(mode="json", exclude_unset=True)
    return dict(given)


def _next(pools: Sequence[Mapping[str, Any]], watch: str | None) -> list[str]:
    lines = [f"worker: prefect worker start --pool {pool['name']}" for pool in pools]
    if watch is None:
        lines.append("schedules stay as they are; to switch them on: inception-loop deploy --watch FOLDER")
    return lines

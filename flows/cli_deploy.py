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

SCHEDULED = frozenset({"watch", "night", "conclude"})
"""What runs by itself once a lab has said where recordings arrive."""
STATES = ("created", "changed", "unchanged", "kept", "removed")
SELDOM = {"kept", "removed"}
"""Not counted where there are none."""


def deploy_all(
    *,
    watch: str | None = None,
    night: str | None = None,
    parameters: Annotated[list[str] | None, Parameter(name="--parameters")] = None,
    pool: Literal["local", "docker", "kubernetes"] | None = None,
    dry_run: bool = False,
    deployments: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Tell a Prefect server (PREFECT_API_URL) what can be run, where and when; twice is as good as once.

    Example: ``inception-loop deploy --watch /data/arrivals --night "20:00 Europe/Berlin"``

    Schedules are inactive until a folder to watch is given for the first time. Parameters and hours that a
    lab has set, its own schedules, and schedules and automations that it has switched on or off, are left as
    they are; a line says what differs from the files.

    Parameters
    ----------
    watch
        Folder or bucket prefix that recordings arrive in; the flows watch and night then run by themselves.
        Its other parameters stay.
    night
        First hour of the night and its time zone, ``20:00 Europe/Berlin``; the later tries move with it.
    parameters
        ``--parameters NAME=FILE.toml``, any number of times: what the runs of a deployment are given, as in
        ``run NAME --config FILE.toml``, instead of what they were given before.
    pool
        Where runs happen, see deployments/pools.yaml: processes of one machine, containers, or a cluster; by
        default where they happen already, at first on one machine.
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
    from flows.deploying import Given, deploy, read_wanted
    from flows.deploying.arrivals import ON_THIS_MACHINE, missing, placed
    from flows.deploying.night import parse_night
    from flows.deploying.place import standing_place

    asked, first_hour = _given(parameters or [], watch), None if night is None else parse_night(night)
    check_api()
    place = pool or standing_place(deployments or files()) or ON_THIS_MACHINE
    values = {name: placed(one, place) for name, one in asked.items()}
    folder = values.get("watch", {} if watch is None else placed({"folder": watch}, place)).get("folder")
    given = Given(
        parameters=values,
        folder=folder,
        night=first_hour,
        scheduled=SCHEDULED,
    )
    wanted = read_wanted(deployments or files(), place, given)
    changes = deploy(wanted, dry_run=dry_run)
    told = {"watch": {"folder": folder}, "night": values.get("night", {}).get("watch", {})}
    sys.stderr.writelines(f"warning: {line}\n" for line in missing(told))
    if json_:
        sys.stdout.write(json.dumps([change._asdict() for change in changes], indent=2) + "\n")
        return 0
    lines = [
        f"{one.state:>9}  {one.what} {one.name}{f': {one.why}' if one.why else ''}"
        for one in changes
        if one.state != "unchanged"
    ]
    counts = Counter(one.state for one in changes)
    said = ", ".join(f"{counts[one]} {one}" for one in STATES if counts[one] or one not in SELDOM)
    lines.append(f"{said}{' (nothing was done: --dry-run)' if dry_run else ''}")
    sys.stdout.writelines(f"{line}\n" for line in [*lines, *_next(wanted.pools, watch)])
    return 0


def files() -> Path:
    """Return the folder of the files: here, else where the package was installed from."""
    found = (Path("deployments"), *(Path(__file__).parents[level] / "deployments" for level in (0, 1)))
    return next((folder for folder in found if (folder / "prefect.yaml").is_file()), found[0])


def _given(texts: Sequence[str], watch: str | None) -> dict[str, Mapping[str, Any]]:
    """Return the parameters of deployments, checked as a run would check them, and so the folder."""
    from flows.given import read_toml
    from flows.run_stage import STAGES, parameters_of
    from inception_loop.parameters import parse

    if watch is not None:
        parse(parameters_of("watch"), {"folder": watch})
    given: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, is_given, path = text.partition("=")
        if not is_given:
            raise ConfigurationError(f"--parameters got {text!r}; expected NAME=FILE.toml")
        given[name] = read_toml(Path(path))
    if watch is not None and "watch" in given:
        given["watch"]["folder"] = watch
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
        lines.append(
            "schedules stay as they are; at first they wait for: inception-loop deploy --watch FOLDER"
        )
    return lines

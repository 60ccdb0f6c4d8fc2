"""``inception-loop run train --dry-run``: what would be trained, read from the store. Imports no Prefect."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from inception_loop.artifacts.listing import resolve
from inception_loop.artifacts.store import open_store
from inception_loop.errors import ConfigurationError
from inception_loop.parameters import TrainParameters, parse
from inception_loop.training.labels import counted
from inception_loop.training.standing import Standing, standing

STATES: tuple[Literal["trained", "missing", "bad"], ...] = ("trained", "missing", "bad")


def refuse_unless_train(stage: str) -> None:
    """Refuse a dry run of a stage that cannot tell what it would make.

    Raises
    ------
    ConfigurationError
        For every stage but *train*.
    """
    if stage != "train":
        raise ConfigurationError(
            f"run {stage} has no --dry-run; expected the stage train, whose grid says what it makes; "
            "run it without"
        )


def dry_run(values: Mapping[str, Any], *, as_json: bool) -> int:
    """Print how many models a grid has and how each stands; returns the exit status."""
    store = open_store()
    parameters = parse(TrainParameters, values, meant=lambda name: resolve(store, name))
    models = parameters.models()
    found = standing(store, models, dataset=parameters.dataset, core=parameters.core)
    states = Counter(one.state for one in found)
    counts: dict[str, int] = {state: states[state] for state in STATES}
    if as_json:
        value = {"words": counted(models), **counts, "models": [_row(one) for one in found]}
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        return 0
    sys.stdout.write(f"{counted(models)}\n")
    sys.stdout.writelines(f"  {_line(one)}\n" for one in found)
    sys.stdout.write(", ".join(f"{count} {state}" for state, count in counts.items()) + "\n")
    return 0


def _line(one: Standing) -> str:
    tail = {"trained": f"  {one.ref}", "missing": "", "bad": f": {one.reason} ({one.ref})"}[one.state]
    return f"{one.state:<8} {one.label}{tail}"


def _row(one: Standing) -> dict[str, Any]:
    return {
        "label": one.label,
        "state": one.state,
        "reason": one.reason or None,
        "ref": one.ref.model_dump(mode="json"),
    }

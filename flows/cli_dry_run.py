"""``inception-loop run … --dry-run``: what would be trained or filled, read from the store."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from inception_loop.artifacts.listing import resolve
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ConfigurationError
from inception_loop.parameters import StimulusParameters, TrainParameters, parse
from inception_loop.training.labels import counted
from inception_loop.training.standing import Standing, standing

STATES: tuple[Literal["trained", "missing", "bad"], ...] = ("trained", "missing", "bad")
NAMED = 5
"""So many units that lack an image are named."""


def refuse_unless_told(stage: str) -> None:
    """Refuse a dry run of a stage that cannot tell what it would make.

    Raises
    ------
    ConfigurationError
        For all stages but those of `TELL`.
    """
    if stage not in TELL:
        raise ConfigurationError(
            f"run {stage} has no --dry-run; expected {' or '.join(TELL)}, which know what they make; run it "
            "without"
        )


def dry_run(stage: str, values: Mapping[str, Any], *, as_json: bool) -> int:
    """Print what a stage would make and what of it stands; returns the exit status. Nothing is run."""
    value, lines = TELL[stage](open_store(), values)
    text = json.dumps(value, indent=2, ensure_ascii=False) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
    return 0


def _train(store: ArtifactStore, values: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Say how many models a grid has and how each stands."""
    parameters = parse(TrainParameters, values, meant=lambda name: resolve(store, name))
    models = parameters.models()
    found = standing(store, models, dataset=parameters.dataset, core=parameters.core)
    states = Counter(one.state for one in found)
    counts: dict[str, int] = {state: states[state] for state in STATES}
    value = {"words": counted(models), **counts, "models": [_row(one) for one in found]}
    tail = ", ".join(f"{count} {state}" for state, count in counts.items())
    return value, [counted(models), *(f"  {_line(one)}" for one in found), tail]


def _stimulus(store: ArtifactStore, values: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Say what each fill would add, what stands and what is missing, and how long the session is."""
    from flows._stimulus_dry import look  # it goes through the steps of the stage, which are Prefect's

    found = look(parse(StimulusParameters, values, meant=lambda name: resolve(store, name)))
    lines = [line for fill in found["fills"] for line in _fill_lines(fill)]
    tail = [f"refused: {found['refused']}"] if "refused" in found else _session_lines(found)
    return found, [*lines, found["shown"], *tail, "nothing was changed (--dry-run)"]


TELL: Mapping[str, Callable[[ArtifactStore, Mapping[str, Any]], tuple[Any, list[str]]]] = {
    "train": _train,
    "stimulus": _stimulus,
}
"""Stages with a dry run: what they would make as a value for programs, and as lines."""


def _fill_lines(fill: Mapping[str, Any]) -> list[str]:
    panel = fill["units"] - fill["selected"]
    units = f"{fill['units']} units ({fill['selected']} selected{f', {panel} of the panel' if panel else ''})"
    each = f", each at {fill['shifts']} displacements" if fill["shifts"] > 1 else ""
    lines = [f"fill {fill['fill']}: {fill['images']} images of {units}{each}"]
    for taken in fill["takes"]:
        missing = taken["missing"]
        of = f"{fill['units'] - len(missing)} of {fill['units']} units"
        named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if missing[NAMED:] else "")
        lines.append(
            f"  {taken['image_class']} from {taken['kind']}: {of}"
            + (f"; missing: {named}" if missing else "")
        )
    if "ref" not in fill:
        return lines
    if fill["refused"]:
        return [*lines, f"  refused: {fill['refused']}"]
    if fill["there"]:
        return [*lines, f"  there: {fill['ref']}"]
    process = f"{fill['to_process']} of {fill['to_process'] + fill['processed']} artifacts to turn into bytes"
    return [*lines, f"  to be filled ({process})" if fill["to_process"] else "  to be filled"]


def _session_lines(found: Mapping[str, Any]) -> list[str]:
    length = f"{found['n_images']} images, {found['n_trials']} trials, {found['minutes']:.1f} min"
    ref = found["stimulus_set"]
    number = found["number"]
    next_ = "not named as what is shown next" if number is None else f"shown next as number {number}"
    if found["there"]:
        return [f"session: there: {ref}: {length}; {next_}"]
    return [f"session: to be made: {length}; {next_}"]


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

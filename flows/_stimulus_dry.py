"""``inception-loop run stimulus --dry-run``: what would be filled, what stands, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import polars as pl

from flows.stimulus import excites, submit_fills, submit_set, with_gallery
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Kind
from inception_loop.artifacts.lease import Clock
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Make
from inception_loop.artifacts.store import ArtifactStore, Outcome, open_store
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.parameters import StimulusParameters
from inception_loop.stimuli.fill_plan import filled_units, refuse
from inception_loop.stimuli.fills import FillRules, Taken
from inception_loop.stimuli.stimulus_fill import StimulusFillConfig, plan_stimulus_fill
from inception_loop.stimuli.stimulus_set import source_images
from inception_loop.stimuli.target_group import number_of


class _Looking(ArtifactStore):
    """Makes nothing: of what would be made it tells whether it stands."""

    def make(self, kind: Kind, config: Config, build: Any, inputs: Any = None, **options: Any) -> Outcome:
        """Return what would be made, and whether it stands."""
        ref = self.ref(kind, config, inputs)
        return Outcome(ref, self.exists(ref))


def look(parameters: StimulusParameters) -> dict[str, Any]:
    """Go through the steps of stage *stimulus* without making any; return what is there and what is not.

    Raises
    ------
    DataError
        If a unit to be left out is none of the wanted.
    """
    opened = open_store()
    store = _Looking(opened.backend, opened.settings, None, Clock())
    p = with_gallery(store, parameters)
    fills = p.rules.leaving_out(p.rules.leave_out).fills
    found: dict[str, Any] = {"fills": [_coverage(p, store, fill) for fill in fills]}
    steps: list[tuple[Config, Mapping[str, Any], Outcome]] = []

    def run(make: Make, config: Config, *, label: str = "", **inputs: Any) -> ArtifactRef:
        outcome = cast(Outcome, make(store, config, **inputs))  # all steps of this stage make one artifact
        steps.append((config, inputs, outcome))
        return outcome.ref

    try:
        refs = [ref for _, ref in submit_fills(p, store, run)]
    except ConfigurationError as error:
        return found | {"refused": str(error)}
    filled = [step for step in steps if isinstance(step[0], StimulusFillConfig)]
    for line, (config, inputs, made) in zip(found["fills"], filled, strict=True):
        line |= {"ref": str(made.ref), "there": made.cached}
        line |= _bytes(store, cast(StimulusFillConfig, config), inputs)
    made_set = submit_set(p, run, refs) if all(store.exists(ref) for ref in refs) else None
    return found | _session(p, store, made_set, found["fills"])


def _coverage(p: StimulusParameters, store: ArtifactStore, fill: FillRules) -> dict[str, Any]:
    """Count the units that a fill is for, and those that have an image of each of its kinds."""
    selection = store.table(cast(ArtifactRef, p.selection), "corrected_high_unit_selection")
    panel = None if p.panel is None else store.table(p.panel, "truth_panel")
    units = filled_units(selection, panel, fill.max_rank, fill.leave_out)
    return {
        "fill": fill.model_dump()["type"],
        "units": units.height,
        "selected": units["hu_rank"].count(),
        "shifts": len(fill.shifts),
        "images": units.height * len(fill.takes) * len(fill.shifts),
        "takes": [_taken(p, store, taken, units) for taken in fill.takes],
    }


def _taken(p: StimulusParameters, store: ArtifactStore, taken: Taken, units: pl.DataFrame) -> dict[str, Any]:
    holders = [ref for ref in p.images if ref.kind == taken.kind and excites(store, ref)]
    key = ["name", "unit_id"]
    having = pl.concat(
        [units.select(key).clear(), *(store.table(ref, ref.kind).select(key) for ref in holders)]
    )
    lacking = units.join(having, on=key, how="anti", maintain_order="left")
    return {
        "kind": taken.kind,
        "image_class": taken.image_class,
        "artifacts": len(holders),
        "missing": [f"{name}/{unit}" for name, unit in lacking.select(key).rows()],
    }


def _bytes(store: ArtifactStore, config: StimulusFillConfig, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Tell how many of a fill's images stand as bytes; if all do, what the fill would refuse."""
    shown: Sequence[ArtifactRef] = inputs["processed_images"]
    there = sum(map(store.exists, shown))
    said: dict[str, Any] = {"processed": there, "to_process": len(shown) - there, "refused": None}
    if there == len(shown):
        try:
            refuse(plan_stimulus_fill(store, config, **inputs), config.fill)
        except (DataError, ConfigurationError) as error:
            said["refused"] = str(error)
    return said


def _session(
    p: StimulusParameters, store: ArtifactStore, made: ArtifactRef | None, fills: Sequence[Any]
) -> dict[str, Any]:
    """Say how long the session is, whether it stands, and as which number the rig would show it next."""
    there = made is not None and store.exists(made)
    if made is not None and there:
        counts = {name: store.manifest(made).findings[name] for name in ("n_images", "n_trials", "minutes")}
    else:
        rules = p.rules.session
        oracle = source_images(store, rules, p.recording)
        images = sum(fill["images"] for fill in fills) + (0 if oracle is None else len(oracle.images))
        trials = rules.repeats * (images + rules.blanks)
        minutes = round(trials * (rules.shown_s + rules.gap_s) / 60, 3)
        counts = {"n_images": images + bool(rules.blanks), "n_trials": trials, "minutes": minutes}
    named = made if made is not None else p.recording  # no set yet: a number of its own
    number = number_of(store, p.loop_group, named) if p.name_target else None
    ref = None if made is None else str(made)
    return {"stimulus_set": ref, "there": there, **counts, "number": number}

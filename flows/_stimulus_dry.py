"""``inception-loop run stimulus --dry-run``: what would be filled, what stands, what is missing.

The steps are gone through in memory, without the networks: what the stage refuses, its dry run refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import polars as pl

from flows._monitor import shown_by
from flows.stimulus import excites, member, submit_fills, submit_set, with_gallery
from inception_loop.artifacts.address import listed
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Kind
from inception_loop.artifacts.lease import Clock
from inception_loop.artifacts.memory import MemoryAbove
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Make
from inception_loop.artifacts.store import ArtifactStore, Outcome, open_store
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.monitor.processed_image import ProcessedImageConfig
from inception_loop.images.network import CallableModel
from inception_loop.images.wanted import of_scan
from inception_loop.parameters import StimulusParameters
from inception_loop.stimuli.fill_plan import filled_units
from inception_loop.stimuli.fills import FillRules, Taken
from inception_loop.stimuli.stimulus_fill import StimulusFillConfig
from inception_loop.stimuli.target_group import number_of


class _Trying(ArtifactStore):
    """Makes in memory what does not stand, and notes what is refused instead of ending with it."""

    def __init__(self, opened: ArtifactStore) -> None:
        self.above = MemoryAbove(opened.backend)
        super().__init__(self.above, opened.settings, None, Clock())
        self.refused: dict[ArtifactRef, str] = {}

    def make(self, kind: Kind, config: Config, build: Any, inputs: Any = None, **options: Any) -> Outcome:
        """Make an artifact unless one of its inputs was refused; return it in any case."""
        ref = self.ref(kind, config, inputs)
        lacking = [
            self.refused[one] for refs in listed(inputs).values() for one in refs if one in self.refused
        ]
        try:
            if lacking:
                raise DataError(lacking[0])
            return super().make(kind, config, build, inputs, **options)
        except (ConfigurationError, DataError) as error:
            self.refused[ref] = str(error)
            return Outcome(ref, cached=False)


def _deaf(*_: Any, **__: Any) -> CallableModel:
    """Stand in for networks: by what activation the bytes are judged does not decide what is refused."""
    return CallableModel(lambda pixels, units: pixels.new_zeros(len(pixels), len(units)), 0.0, 1.0, (1, 1))


def look(parameters: StimulusParameters) -> dict[str, Any]:
    """Go through the steps of stage *stimulus* in memory; return what stands, what would be made or refused.

    Raises
    ------
    DataError
        If a unit to be left out is none of the wanted.
    """
    opened = open_store()
    store = _Trying(opened)
    try:
        return _looked(with_gallery(opened, parameters), opened, store)
    finally:
        store.above.drop()


def _looked(p: StimulusParameters, opened: ArtifactStore, store: _Trying) -> dict[str, Any]:
    fills, by = p.rules.leaving_out(p.rules.leave_out).fills, shown_by(p, store)
    found: dict[str, Any] = {"shown": by.words, "fills": [_coverage(p, store, fill) for fill in fills]}
    steps: list[tuple[Config, Mapping[str, Any], Outcome]] = []

    def run(make: Make, config: Config, *, label: str = "", **inputs: Any) -> ArtifactRef:
        deaf = {"load": _deaf} if isinstance(config, ProcessedImageConfig) else {}
        # all steps of this stage make one artifact
        outcome = cast(Outcome, make(store, config, **inputs, **deaf))
        steps.append((config, inputs, outcome))
        return outcome.ref

    try:
        refs = [ref for _, ref in submit_fills(p, store, run, by)]
    except ConfigurationError as error:
        return found | {"refused": str(error)}
    filled = [step for step in steps if isinstance(step[0], StimulusFillConfig)]
    for line, (_, inputs, made) in zip(found["fills"], filled, strict=True):
        shown: Sequence[ArtifactRef] = inputs["processed_images"]
        there = sum(map(opened.exists, shown))
        line |= {"ref": str(made.ref), "there": made.cached, "refused": store.refused.get(made.ref)}
        line |= {"processed": there, "to_process": len(shown) - there}
    if not store.refused:
        made_set = submit_set(p, run, refs)
        if made_set in store.refused:
            return found | {"refused": store.refused[made_set]}
        return found | _session(p, opened, store, made_set)
    return found | {"refused": "not every fill can be made"}


def _coverage(p: StimulusParameters, store: ArtifactStore, fill: FillRules) -> dict[str, Any]:
    """Count the units that a fill is for, and those that have an image of each of its kinds."""
    name = member(p, store)
    selection = of_scan(store.table(cast(ArtifactRef, p.selection), "corrected_high_unit_selection"), name)
    panel = None if p.panel is None else of_scan(store.table(p.panel, "truth_panel"), name)
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


def _session(
    p: StimulusParameters, opened: ArtifactStore, store: ArtifactStore, made: ArtifactRef
) -> dict[str, Any]:
    """Say how long the session is, whether it stands, and as which number the rig would show it next."""
    counts = {name: store.manifest(made).findings[name] for name in ("n_images", "n_trials", "minutes")}
    number = number_of(opened, p.loop_group, made) if p.name_target else None
    return {"stimulus_set": str(made), "there": opened.exists(made), **counts, "number": number}

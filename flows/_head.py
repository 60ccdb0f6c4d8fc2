"""Head of a loop, from recordings to the stimulus set: a digital animal's loop and a lab's night share it."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from prefect import Flow

from flows._patience import patiently
from flows._stage import StageResult
from flows.dataset import dataset
from flows.ingest import ingest
from flows.mei import mei
from flows.select import select
from flows.stimulus import stimulus
from flows.train import train
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.dataset.config import DatasetConfig
from inception_loop.images.rules import ImageRules
from inception_loop.parameters import (
    AnyGrid,
    DatasetParameters,
    IngestParameters,
    MeiParameters,
    SelectParameters,
    StimulusParameters,
    TrainParameters,
    data_of,
)
from inception_loop.quality.rules import QualityRules
from inception_loop.selection.config import SelectionRules
from inception_loop.stimuli.rules import StimulusRules

C = TypeVar("C")

SHOWN = (
    "mei",
    "grad_rf",
    "best_gabor",
    "masked_mei",
    "best_tight_masked_imagenet",
    "best_natural_image",
)
"""Kinds of images that a stimulus set may show."""


class Head(NamedTuple):
    """What the head of a loop needs to know beside its recordings; the rules of the stages, by their names.

    Attributes
    ----------
    loop_group
        Number of the loop.
    truths
        Whether the animal's truth, where it is known, chooses a panel of units.
    """

    dataset: DatasetConfig
    quality: QualityRules
    grid: AnyGrid
    selection: SelectionRules
    images: ImageRules
    stimulus: StimulusRules
    loop_group: int
    truths: bool = False


class Done:
    """What the stages of a run have made so far."""

    def __init__(self) -> None:
        self.results: list[StageResult] = []

    def __call__(self, stage: Flow[[C], StageResult], asked: C) -> StageResult:
        """Run a stage."""
        name = getattr(stage, "name", "stage")  # where nothing is served, stages are plain functions
        return self.with_result(patiently(name, lambda: stage(asked)))

    def with_result(self, result: StageResult) -> StageResult:
        """Count what a stage has made."""
        self.results.append(result)
        return result

    def refs(self, kind: str) -> tuple[ArtifactRef, ...]:
        """Return every reference of a kind, each once, in the order of making."""
        return tuple(dict.fromkeys(ref for result in self.results for ref in result.refs.get(kind, ())))

    def first(self, kind: str) -> ArtifactRef:
        """Return the first of a kind: that of the source scan."""
        return self.refs(kind)[0]

    def everything(self) -> dict[str, tuple[ArtifactRef, ...]]:
        """Return all references by kind."""
        return {kind: self.refs(kind) for result in self.results for kind in result.refs}


def learn(head: Head, recordings: tuple[ArtifactRef, ...], done: Done) -> None:
    """Make a dataset of the first days and train the networks that predict it."""
    group = head.dataset.group_id
    done(ingest, IngestParameters(recordings=recordings))
    done(dataset, DatasetParameters(recordings=recordings, config=head.dataset, quality=head.quality))
    done(train, TrainParameters(group_id=group, dataset=done.first("static_multi_dataset"), grid=head.grid))


def make_images(head: Head, source: ArtifactRef, done: Done) -> None:
    """Select the units, make their images and the session that shows them, which is the next target."""
    group, data = head.dataset.group_id, done.first("static_multi_dataset")
    asked = SelectParameters(
        group_id=group,
        dataset=data,
        models=done.refs("model"),
        truths=done.refs("animal_truth") if head.truths else (),
        data=data_of(head.grid.models(group)),
        selection=head.selection,
    )
    done(select, asked)
    wanted = MeiParameters(
        group_id=group,
        dataset=data,
        target_model=done.first("target_model"),
        selection=done.first("corrected_high_unit_selection"),
        panel=next(iter(done.refs("truth_panel")), None),
        recording=source,
        images=head.images,
    )
    done(mei, wanted)
    session = StimulusParameters(
        group_id=group,
        loop_group=head.loop_group,
        recording=source,
        images=tuple(ref for kind in SHOWN for ref in done.refs(kind)),
        target_model=done.first("target_model"),
        selection=done.first("corrected_high_unit_selection"),
        panel=next(iter(done.refs("truth_panel")), None),
        calibrations=done.refs("monitor_calibration"),
        rules=head.stimulus.leaving_out(head.images.leave_out),
    )
    done(stimulus, session)

"""Parameters of the flows that run a lab's night, and what follows on a later day."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.config import DatasetConfig
from inception_loop.images.rules import ImageRules
from inception_loop.parameters import (
    AnyGrid,
    LeastProbability,
    Matching,
    RecordingRef,
    refuse_lacking_images,
    refuse_luminance_networks,
)
from inception_loop.quality.rules import QualityRules
from inception_loop.selection.config import SelectionRules
from inception_loop.stimuli.rules import StimulusRules
from inception_loop.training.config import ModelConfig
from inception_loop.training.published import PublishedGrid
from inception_loop.watch_parameters import WatchParameters


class NightParameters(Config):
    """Head of the loop: what has arrived becomes networks, images and the stimulus set that is shown next.

    Each animal is a group and a loop of its own, numbered as the animal.
    """

    recordings: tuple[RecordingRef, ...] = Field(
        (), description="Recordings to work on; none: every first day that no target was made of yet."
    )
    watch: WatchParameters | None = Field(
        None, description="A folder to look at first; none: recordings are imported by the flow watch."
    )
    dataset: DatasetConfig = Field(
        DatasetConfig(group_id=0), description="Rules of the dataset; its group is the animal's number."
    )
    quality: QualityRules = Field(QualityRules(), description="Signs of a bad recording.")
    grid: AnyGrid = Field(PublishedGrid(), description="The networks; by default the 64 published ones.")
    selection: SelectionRules = Field(SelectionRules(), description="Which units images are made for.")
    images: ImageRules = Field(ImageRules(), description="How images are made.")
    stimulus: StimulusRules = Field(StimulusRules(), description="What the later days show, and how.")

    @model_validator(mode="after")
    def _shown_are_made(self) -> Self:
        refuse_lacking_images(self.stimulus, self.images)
        refuse_luminance_networks(self.dataset)
        return self

    def models(self) -> list[ModelConfig]:
        """Enumerate what is trained of one animal."""
        return self.grid.models(self.dataset.group_id)


class ConcludeParameters(Config):
    """A later day has arrived: its loop is compared and reported, with all its later days so far."""

    recording: str | None = Field(
        None,
        description="The later day: its recording's name, its scan, or what an event calls it; none: every "
        "later day that no report shows yet.",
        examples=["recording/0123abcd4567", "17-2-1", "inception-loop.scan.17-2-1"],
    )
    matching: Matching = "proximity"
    least_match_probability: LeastProbability = 0.5
    n_permutations: int = Field(99_999, ge=99, description="Permutations of image labels.")
    seed: int = Field(0, ge=0, description="Seed of the permutations.")

"""Parameters of the flows that run a lab's night: watch, night and conclude."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.places import backend_of
from inception_loop.dataset.config import DatasetConfig
from inception_loop.errors import ConfigurationError
from inception_loop.images.rules import ImageRules
from inception_loop.parameters import (
    AnyGrid,
    LeastProbability,
    Matching,
    RecordingRef,
    StimulusRef,
    refuse_lacking_images,
    refuse_luminance_networks,
)
from inception_loop.quality.rules import QualityRules
from inception_loop.recordings.arrivals.names import scan_pattern
from inception_loop.recordings.options import Format, ReadOptions
from inception_loop.references import FAULT
from inception_loop.selection.config import SelectionRules
from inception_loop.stimuli.recognition import Unmatched
from inception_loop.stimuli.rules import StimulusRules
from inception_loop.training.config import ModelConfig
from inception_loop.training.published import PublishedGrid


class ImportRules(Config):
    """How the files of a recording are read: what its TOML file beside it may hold."""

    format: Format | None = Field(None, description="Format of the files; by default found by content.")
    options: ReadOptions = Field(ReadOptions(), description="What the files do not say.")
    stimulus_set: StimulusRef | None = Field(
        None, description="What the rig showed; by default found by the images among the animal's targets."
    )
    export: str | None = Field(
        None,
        description="The same as the folder that the rig was given, on the worker's machine.",
        examples=["/data/exports/17-1"],
    )
    unmatched: Unmatched = Field(
        "refuse", description="Images that the set does not hold: refuse them, or exclude their trials."
    )


class WatchParameters(Config):
    """A folder or bucket prefix is looked at; recordings at rest in it are imported."""

    folder: str = Field(
        min_length=1,
        description="Folder (on the worker's machine) or bucket prefix that recordings arrive in.",
        examples=["/data/arrivals", "s3://bucket/arrivals"],
    )
    pattern: str = Field(
        "{animal_id}-{session}-{scan_idx}",
        description="Name of a recording's file (before its suffix) or folder; * is anything.",
        examples=["mouse{animal_id}_session{session}_scan{scan_idx}_*"],
    )
    settle_s: float = Field(
        60.0,
        ge=0,
        description="A recording is left alone until its sizes and times stay for so many seconds, over two "
        "looks at least; 0: what lies there is at rest.",
    )
    read: ImportRules = Field(
        ImportRules(), description="How files are read that have no TOML file of their name beside them."
    )
    retry_quarantined: bool = Field(
        False, description="Try recordings again that were bad, although their bytes have not changed."
    )

    @field_validator("folder")
    @classmethod
    def _is_a_place(cls, folder: str) -> str:
        try:
            backend_of(folder)
        except (
            ConfigurationError
        ) as error:  # of this kind of fault the value is not repeated: it may hold a key
            what = str(error).replace("the store's URI", "the folder")
            raise PydanticCustomError(FAULT, "{what}", {"what": what}) from None
        return folder

    @field_validator("pattern")
    @classmethod
    def _names_a_scan(cls, pattern: str) -> str:
        scan_pattern(pattern)
        return pattern


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

"""Parameters of the flow that looks for recordings: apart, since looks are many and load no networks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.places import backend_of
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import ConfigurationError
from inception_loop.recordings.arrivals.names import scan_pattern
from inception_loop.recordings.options import Format, ReadOptions
from inception_loop.references import FAULT, Of
from inception_loop.stimuli.recognition import Unmatched

StimulusRef = Annotated[ArtifactRef, Of("stimulus_set")]


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

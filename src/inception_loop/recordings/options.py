"""What a reader has to be told, because the file does not say it, and the names of the formats."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.recordings.recording import TraceKind

Format = Literal["nwb", "hdf5", "sensorium", "plain"]


class ReadOptions(Config):
    """What the person who imports a recording knows and its file does not say."""

    trace_kind: TraceKind | None = Field(
        None, description="What the activity is: deconvolved, dff or spikes; needed where the file is silent."
    )
    shown_s: float = Field(0.5, gt=0, description="How long an image is on, s, where offsets are not given.")
    image_class: str = Field("natural", description="Class of the images, where the file is silent.")
    brain_area: str | None = Field(None, description="Area of the units, where the file is silent.")
    layer: str | None = Field(None, description="Layer of the units, where the file is silent.")
    masks: Literal["refuse", "soma"] = Field(
        "refuse", description="Masks of no known class: refuse the file, or take all of them as somata."
    )
    names: dict[str, str] = Field(
        {}, description="Role → place inside the file, where several fit (the error lists roles and places)."
    )

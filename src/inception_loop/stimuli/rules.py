"""What the stage *stimulus* shows on a later day, and how."""

from __future__ import annotations

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.images.rig_bytes import ZoomRule
from inception_loop.images.shown_target import GreyTarget, ShownTarget
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.fills import Fill, GaborFill, MultiMeiFill, TightMeiVsImagenetFill, UnmaskedFill


class StimulusRules(Config):
    """How images are shown on a later day."""

    fills: tuple[Fill, ...] = Field(
        (MultiMeiFill(shifts=((0, 0),)), GaborFill(), TightMeiVsImagenetFill(), UnmaskedFill()),
        min_length=1,
        description="Which images are shown, as which image classes.",
    )
    target: ShownTarget = Field(
        GreyTarget(), description="Mean and RMS contrast of every made image, grey levels or cd/m²."
    )
    zoom: int = Field(4, ge=1, description="Side of the square that shows one pixel, px of the rig.")
    zoom_rule: ZoomRule = Field("repeat", description="What lies between the pixels' centres.")
    session: StimulusConfig = Field(StimulusConfig(), description="Repeats, timing, oracle images, blanks.")

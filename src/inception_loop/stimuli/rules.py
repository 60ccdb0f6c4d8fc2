"""What the stage *stimulus* shows on a later day, and how."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.images.monitor.curve import Curve
from inception_loop.images.monitor.power_law import Noise
from inception_loop.images.monitor.rig_bytes import ZoomRule
from inception_loop.images.monitor.shown_target import AskedTarget, BestKnown
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.fills import Fill, GaborFill, MultiMeiFill, TightMeiVsImagenetFill, UnmaskedFill


class MonitorRules(Config):
    """Which monitor calibration counts, and how it is read. A recording tells neither rig nor time."""

    rig: str = Field("", description="Name of the rig that shows the images; empty: there is one.")
    time: str | None = Field(
        None, description="When they will be shown, ISO 8601; none: when the source scan was calibrated."
    )
    timezone: str = Field("UTC", description="Of times that do not say theirs, such as Europe/Berlin.")
    max_hours: float = Field(720.0, ge=0, description="Calibrations further away than this do not count.")
    curve: Curve = Field("smoothed", description="What grey levels are translated by.")
    noise: Noise = Field("absolute", description="Whether residuals of the fit count alike or by luminance.")


class StimulusRules(Config):
    """How images are shown on a later day."""

    fills: tuple[Fill, ...] = Field(
        (MultiMeiFill(shifts=((0, 0),)), GaborFill(), TightMeiVsImagenetFill(), UnmaskedFill()),
        min_length=1,
        description="Which images are shown, as which image classes.",
    )
    leave_out: tuple[str, ...] = Field(
        (), description="Units to show no images of, though selected, of every fill: scan/unit_id."
    )
    target: AskedTarget = Field(
        BestKnown(),
        description="Mean and RMS contrast of every made image: in cd/m² (luminance) or grey levels (grey); "
        "best_known: in cd/m² if the monitor was measured.",
    )
    zoom: int | None = Field(
        None,
        ge=1,
        description="Side of the square that shows one pixel, px of the rig; none: images as large as the "
        "source recording's.",
    )
    zoom_rule: ZoomRule = Field("repeat", description="What lies between the pixels' centres.")
    monitor: MonitorRules = Field(MonitorRules(), description="Which calibration of the monitor counts.")
    session: StimulusConfig = Field(StimulusConfig(), description="Repeats, timing, oracle images, blanks.")

    def leaving_out(self, units: Sequence[str]) -> StimulusRules:
        """Return the rules with some units (``scan/unit_id``) left out of every fill too."""
        if not units:
            return self
        fills = tuple(
            fill.model_copy(update={"leave_out": tuple(dict.fromkeys((*fill.leave_out, *units)))})
            for fill in self.fills
        )
        return self.model_copy(update={"fills": fills})

"""Shifters: how far receptive fields move with the eye. A new one is a file here and a line in the union."""

from typing import Annotated

from pydantic import Field

from inception_loop.network.shifters.mlp import MLPShifter
from inception_loop.network.shifters.no import NoShifter
from inception_loop.network.shifters.shifter import ShifterModule
from inception_loop.network.shifters.static_affine import StaticAffine2d

Shifter = Annotated[MLPShifter | NoShifter | StaticAffine2d, Field(discriminator="type")]

__all__ = ["MLPShifter", "NoShifter", "Shifter", "ShifterModule", "StaticAffine2d"]

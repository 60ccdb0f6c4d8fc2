"""Modulators: the gain that behaviour gives each unit. A new one is a file here and a line in the union."""

from typing import Annotated

from pydantic import Field

from inception_loop.network.modulators.mlp import MLPModulator, PerceptronModulator
from inception_loop.network.modulators.no import NoModulator

Modulator = Annotated[MLPModulator | NoModulator, Field(discriminator="type")]

__all__ = ["MLPModulator", "Modulator", "NoModulator", "PerceptronModulator"]

"""A whole static network as one frozen configuration.

Defaults are the published values of Walker et al. 2019; a smaller network says so field by field. Each part
and its configuration are one file of the packages `cores`, `readouts`, `shifters` and `modulators`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.network.cores import Core, GaussianLaplace
from inception_loop.network.modulators import MLPModulator, Modulator
from inception_loop.network.output import Output
from inception_loop.network.readouts import Readout, SpatialTransformerPyramid2d
from inception_loop.network.shifters import MLPShifter, Shifter

Gain = Literal["before", "after"]
Precision = Literal["float32", "bfloat16"]


class CorePlusReadout(Config):
    """A whole network: one choice of each part.

    Examples
    --------
    >>> CorePlusReadout().core.type, CorePlusReadout(gain="after").gain
    ('GaussianLaplace', 'after')
    """

    core: Core = Field(default_factory=GaussianLaplace, description="Convolutions shared by all units.")
    readout: Readout = Field(
        default_factory=SpatialTransformerPyramid2d, description="From the core's map to one number a unit."
    )
    shifter: Shifter = Field(default_factory=MLPShifter, description="What the eye position does.")
    modulator: Modulator = Field(default_factory=MLPModulator, description="What behaviour does.")
    gain: Gain = Field(
        "before",
        description="Gain acts before the output nonlinearity (published) or after it (whole response).",
    )
    output: Output = Field("elu1", description="Output nonlinearity: ELU + 1 (published) or softplus.")

"""The grid of the static network: one frozen configuration a part, a union a role.

Defaults are the published values of Walker et al. 2019; a smaller network says so field by field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from inception_loop.artifacts.identity import Config

Gain = Literal["before", "after"]
Precision = Literal["float32", "bfloat16"]


class LaplaceCore(Config):
    """What the two Gauss–Laplace cores have in common."""

    hidden_channels: int = Field(32, ge=1, description="Output channels of every layer.")
    input_kern: int = Field(
        15, ge=1, description="Side of the first layer's kernels, px; the layer is unpadded."
    )
    hidden_kern: int = Field(7, ge=1, description="Side of the other layers' kernels, px of the map; odd.")
    layers: int = Field(3, ge=1, description="Number of convolutional layers.")
    skip: int = Field(
        3, ge=0, description="A layer sees the outputs of this many layers before it; 0 or 1: one."
    )
    gamma_input: float = Field(50.0, ge=0, description="Strength of the Laplacian smoothness of layer 0.")
    gamma_hidden: float = Field(
        0.1, ge=0, description="Strength of the group sparsity of the hidden kernels."
    )
    gauss_sigma: float = Field(
        0.5, gt=0, description="Width of the Gaussian dip of the smoothness weight, half-sides of the kernel."
    )
    gauss_bias: float = Field(0.0, ge=0, description="Added to the smoothness weight everywhere.")
    momentum: float = Field(
        0.1, gt=0, le=1, description="Share of a batch in batch norm's running statistics."
    )

    @model_validator(mode="after")
    def _odd(self) -> LaplaceCore:
        if self.hidden_kern % 2 == 0:
            raise ValueError(
                f"hidden_kern is {self.hidden_kern}; expected an odd side, so that 'same' padding exists"
            )
        return self


class GaussianLaplace(LaplaceCore):
    """The nonlinear core: convolution, batch norm and ELU in every layer."""

    type: Literal["GaussianLaplace"] = "GaussianLaplace"


class StackedLinearGaussianLaplace(LaplaceCore):
    """Its control: the same depth and kernels with no nonlinearity at all."""

    type: Literal["StackedLinearGaussianLaplace"] = "StackedLinearGaussianLaplace"


class SpatialTransformerPyramid2d(Config):
    """Readout from one place a unit in a Gaussian/Laplacian pyramid of the core's output."""

    type: Literal["SpatialTransformerPyramid2d"] = "SpatialTransformerPyramid2d"
    scale_n: int = Field(5, ge=0, description="Splits of the pyramid; it has one level more than splits.")
    downsample: bool = Field(True, description="Halve the map at every split; otherwise only blur it again.")
    gamma_features: float = Field(
        1.0, ge=0, description="Strength of the L1 norm (mean) of the feature weights."
    )
    init_range: float = Field(
        0.1, ge=0, le=1, description="Positions start uniform in ± this, units of the map."
    )


class MLPShifter(Config):
    """Eye position → shift of all receptive fields, a small network with tanh after every layer."""

    type: Literal["MLP"] = "MLP"
    shift_layers: int = Field(3, ge=1, description="Layers, the last one included.")
    hidden: int = Field(5, ge=1, description="Units of the layers before the last.")


class NoShifter(Config):
    """The eye moves nothing."""

    type: Literal["No"] = "No"


class MLPModulator(Config):
    """Behaviour → a gain a unit: ReLU layers, then the exponential of a linear layer."""

    type: Literal["MLP"] = "MLP"
    layers: int = Field(2, ge=1, description="Hidden layers.")
    hidden: int = Field(10, ge=1, description="Units of each hidden layer.")
    gamma_modulator: float = Field(0.0, ge=0, description="Strength of the L1 norm (mean) of the last layer.")


class NoModulator(Config):
    """Behaviour changes nothing."""

    type: Literal["No"] = "No"


Core = Annotated[GaussianLaplace | StackedLinearGaussianLaplace, Field(discriminator="type")]
Shifter = Annotated[MLPShifter | NoShifter, Field(discriminator="type")]
Modulator = Annotated[MLPModulator | NoModulator, Field(discriminator="type")]


class CorePlusReadout(Config):
    """A whole network: one choice of each part.

    Examples
    --------
    >>> CorePlusReadout().core.type, CorePlusReadout(gain="after").gain
    ('GaussianLaplace', 'after')
    """

    core: Core = Field(default_factory=GaussianLaplace, description="Convolutions shared by all units.")
    readout: SpatialTransformerPyramid2d = Field(
        default_factory=SpatialTransformerPyramid2d, description="From the core's map to one number a unit."
    )
    shifter: Shifter = Field(default_factory=MLPShifter, description="What the eye position does.")
    modulator: Modulator = Field(default_factory=MLPModulator, description="What behaviour does.")
    gain: Gain = Field(
        "before",
        description="Gain acts before the output nonlinearity (published) or after it (whole response).",
    )

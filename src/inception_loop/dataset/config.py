"""Configurations of the dataset stage: preprocessing, tiers, membership, policies for what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal, get_args

from pydantic import Field, field_validator

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.polygons import crosses_itself, surface

Tier = Literal["train", "validation", "test"]
MONITOR_GREY = 127.5


class ResponseWindow(Config):
    """Where in a trial the response is read, and through which low-pass filter."""

    offset: float = Field(0.05, description="Start of the window after the image's onset, s.")
    duration: float = Field(
        0.5, gt=0, description="Length of the window, s; also the image's nominal time on."
    )
    filter: Literal["hamming", "none"] = Field("hamming", description="Low-pass filter of every trace.")

    @property
    def instant(self) -> float:
        """Middle of the window, s after the onset."""
        return self.offset + self.duration / 2

    @property
    def width(self) -> float:
        """Length of the filter, s (0 for none)."""
        return self.duration if self.filter == "hamming" else 0.0


class FrameSize(Config):
    """How an image as shown becomes a frame of the network."""

    row: int = Field(36, gt=0, description="Height of a frame, px.")
    col: int = Field(64, gt=0, description="Width of a frame, px.")
    gamma: bool = Field(False, description="Turn grey levels into cd/m² with the scan's monitor calibration.")
    aspect: Literal["refuse", "letterbox", "crop"] = Field(
        "refuse", description="What to do with images of another aspect ratio."
    )
    border: float = Field(
        MONITOR_GREY, description="Value of letterbox borders, grey level (cd/m² with gamma)."
    )


SYNTHESISED = ("multi_", "masked_", "unmasked_", "gabor", "cnn_mei", "lin_rf")
"""Beginnings of the field's names of images that are made for units; they are never learnt from."""


class Tiers(Config):
    """Which images a network learns from, is stopped by and is tested on."""

    validation_fraction: float = Field(0.1, ge=0, lt=1, description="Share of the unrepeated images.")
    no_repeats: Literal["test_fraction", "refuse"] = Field(
        "test_fraction",
        description="Where no image is repeated and no tier given: draw a test tier, or refuse.",
    )
    least_repeated: int = Field(
        1,
        ge=1,
        description="Fewest repeated images that are a test tier; with fewer (a picture that got in twice) "
        "no_repeats decides, and the repeated ones stay test.",
    )
    test_fraction: float = Field(0.1, gt=0, lt=1, description="Share of the images drawn in that case.")
    given_incomplete: Literal["refuse", "draw"] = Field(
        "refuse",
        description="Where given tiers leave no image for test or validation and none is unassigned: refuse, "
        "or draw them from the train images (validation_fraction 0 asks for no validation).",
    )
    natural_classes: tuple[str, ...] = Field(
        ("imagenet", "natural"), description="Image classes that may be learnt from; all others get no tier."
    )
    neutral_classes: tuple[str, ...] = Field(
        ("blank",), description="Image classes without a tier that do not make a scan a closed-loop scan."
    )
    key: str = Field("inception-loop", max_length=64, description="Key of the hash that draws the tiers.")
    near_duplicates: Literal["report", "same_tier"] = Field(
        "report",
        description="Images of two sources that look alike: report them, or give their sources one tier.",
    )
    near_distance: int = Field(
        8,
        ge=0,
        le=24,
        description="Bits of 64 in which the perceptual hashes of two such images differ, at most.",
    )

    @field_validator("natural_classes")
    @classmethod
    def _natural(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        made = [name for name in value if name.startswith(SYNTHESISED)]
        if made:
            raise ValueError(f"images of class {made[0]} are synthesised and never learnt from; leave it out")
        return value


class DepthRule(Config):
    """A cortical layer as a range of depths."""

    layer: str = Field(description="Name of the layer, as L2/3.")
    top: float = Field(description="Upper boundary, µm, included.")
    bottom: float = Field(description="Lower boundary, µm, excluded.")


MOUSE_V1_LAYERS = (
    DepthRule(layer="L1", top=0, bottom=100),
    DepthRule(layer="L2/3", top=100, bottom=310),
    DepthRule(layer="L4", top=310, bottom=430),
    DepthRule(layer="L5", top=430, bottom=680),
    DepthRule(layer="L6", top=680, bottom=1000),
)


class LayerRules(Config):
    """Where a unit's layer comes from when the recording does not say: its depth."""

    depths: tuple[DepthRule, ...] = Field(
        MOUSE_V1_LAYERS, description="Layers by depth below the pia (um_z); the first that fits counts."
    )
    otherwise: str | None = Field(
        None,
        description="Layer of units that no rule covers, as 'unset'; none given: such a unit is an error.",
    )


class AreaPolygon(Config):
    """A brain area as a polygon on the cortex.

    Examples
    --------
    >>> AreaPolygon(brain_area="V1", corners=((0, 0), (800, 0), (800, 500), (0, 500))).brain_area
    'V1'
    """

    brain_area: str = Field(min_length=1, description="Name of the area, as V1.")
    corners: tuple[tuple[float, float], ...] = Field(
        min_length=3,
        description="um_x and um_y of every corner, µm, in order; corners and sides count as inside.",
    )

    @field_validator("corners")
    @classmethod
    def _encloses(cls, value: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if crosses_itself(value):
            raise ValueError("the sides of the polygon cross; give its corners in order along the boundary")
        if surface(value) == 0:
            raise ValueError("the polygon encloses nothing; give at least 3 corners that are not in line")
        return value


class AreaRules(Config):
    """Where a unit's brain area comes from when the recording does not say: the polygon it lies in.

    Polygons may touch or overlap: the first that holds a unit counts, so that a boundary shared by two
    areas belongs to the one named first.
    """

    polygons: tuple[AreaPolygon, ...] = Field(
        (), description="Areas as polygons of um_x and um_y; the first that holds a unit counts."
    )
    otherwise: str | None = Field(
        None,
        description="Area of units without one, as 'V1' or 'unknown'; none given: such a unit is an error.",
    )


class MissingData(Config):
    """Named policies for what a recording lacks; every count ends up in the artifact's findings."""

    no_eye: Literal["refuse", "omit"] = Field(
        "refuse",
        description="No eye trace at all: refuse, or go on without pupil (no shifter, no modulator).",
    )
    no_treadmill: Literal["refuse", "omit"] = Field(
        "refuse", description="No running trace at all: refuse, or go on without behaviour (no modulator)."
    )
    untracked: Literal["drop", "impute"] = Field(
        "drop",
        description="Trials without eye or running: drop them, or put the mean of the normalising tier.",
    )
    no_positions: Literal["refuse", "keep"] = Field(
        "refuse",
        description="Units without a place in their field or in µm: refuse, or keep with null places.",
    )


class RawFluorescence(Config):
    """What happens to traces that are raw ΔF/F: their slow decay would leak into the next trial."""

    policy: Literal["refuse", "oasis"] = Field(
        "refuse",
        description="Refuse them, or deconvolve every unit with OASIS (extra 'deconvolution'): order 1, "
        "sparse events, baseline and noise estimated.",
    )
    tau: float | None = Field(
        None, gt=0, description="Decay of the indicator, s; none given: estimated for every unit."
    )


class LostData(Config):
    """What happens where responses, or samples of a trace, are lost."""

    lost_responses: Literal["drop_trial", "refuse"] = Field(
        "drop_trial",
        description="Responses handed over per trial are NaN in any soma: drop the trial, or refuse.",
    )
    most_filled: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share of a unit's samples that may be NaN (and are interpolated); more are refused.",
    )
    longest_gap: float | None = Field(
        None,
        gt=0,
        description="Longest run of NaNs common to all units that is interpolated, s; trials that need "
        "frames of a longer one are lost. None given: the length of the response window.",
    )


class Statistic(Config):
    """What the statistics that normalise the data are taken over."""

    norm_tier: Tier = Field("train", description="Tier of the trials.")
    stats_per_input: bool = Field(
        False, description="Mean of each image's own mean and std instead of all pixels together."
    )


class DatasetConfig(Config):
    """Everything the dataset stage needs to know beside its recordings.

    Examples
    --------
    >>> DatasetConfig(group_id=1).window.instant
    0.3
    """

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    description: str = Field("", description="What the group is for, in words.")
    window: ResponseWindow = Field(ResponseWindow(), description="Response window and filter.")
    frame: FrameSize = Field(FrameSize(), description="Size and unit of the frames.")
    tiers: Tiers = Field(Tiers(), description="Rules of the tiers.")
    areas: AreaRules = Field(AreaRules(), description="Rules of the brain areas.")
    layers: LayerRules = Field(LayerRules(), description="Rules of the layers.")
    missing: MissingData = Field(MissingData(), description="Policies for what is missing.")
    raw_fluorescence: RawFluorescence = Field(
        RawFluorescence(), description="What happens to traces that are raw ΔF/F."
    )
    lost: LostData = Field(LostData(), description="What happens where responses or samples are lost.")
    statistic: Statistic = Field(Statistic(), description="What the statistics are taken over.")


Part = Literal["images", "responses", "behavior", "pupil_center"]
StimulusType = Literal["stimulus.Frame", "~stimulus.Frame"]
EVERY = "all"
EXCLUDED: tuple[tuple[Part, ...], ...] = ((), ("images", "responses"))


class CorrectedAreaLayer(Config):
    """Data configuration of a network: which units it reads out and how its data are normalised.

    Walker et al. 2019, DataConfig.CorrectedAreaLayer. A StaticMultiDataset holds trials of still images
    (``stimulus.Frame``) only, so that the complement ``~stimulus.Frame`` names no trial of it: such a
    configuration can be written down and enumerated, and loading a member with it is refused.
    """

    type: Literal["CorrectedAreaLayer"] = "CorrectedAreaLayer"
    stats_source: Literal["all"] = Field("all", description="Statistics over all stimuli of the tier.")
    stimulus_type: StimulusType = Field(
        "stimulus.Frame", description="Kind of stimulus: still images, or all that are not."
    )
    exclude: tuple[Part, ...] = Field((), description="Parts left as they are.")
    normalize: bool = Field(True, description="Normalise the parts not excluded.")
    normalize_per_image: bool = Field(False, description="Normalise each image by its own mean and std.")
    layer: str = Field("L2/3", description="Layer of the units read out, or 'all'.")
    brain_area: str | tuple[str, ...] = Field("all", description="Area or areas of the units, or 'all'.")

    @field_validator("exclude")
    @classmethod
    def _in_order(cls, value: tuple[Part, ...]) -> tuple[Part, ...]:
        return tuple(sorted(set(value)))

    @classmethod
    def fill(
        cls,
        layers: Sequence[str],
        brain_areas: Sequence[str | tuple[str, ...]],
        stimulus_types: Sequence[StimulusType] = get_args(StimulusType),
    ) -> list[CorrectedAreaLayer]:
        """Enumerate all combinations: DataConfig.fill of Walker et al. 2019.

        The product, in this order, over stimulus types, ``exclude`` (nothing; images and responses),
        ``normalize``, ``normalize_per_image``, layers and areas.

        Parameters
        ----------
        layers
            Layers to read out, each on its own (``"all"`` for all units).
        brain_areas
            Areas to read out, each entry on its own; a tuple stands for several areas together.
        stimulus_types
            Both by default.

        Examples
        --------
        >>> configs = CorrectedAreaLayer.fill(["L2/3", "L4"], ["V1", "all"])
        >>> len(configs), configs[0].layer, configs[0].brain_area, configs[0].exclude
        (64, 'L2/3', 'V1', ())
        """
        return [
            cls(
                stimulus_type=stimulus_type,
                exclude=exclude,
                normalize=normalize,
                normalize_per_image=per_image,
                layer=layer,
                brain_area=area,
            )
            for stimulus_type, exclude, normalize, per_image, layer, area in product(
                stimulus_types, EXCLUDED, (True, False), (False, True), layers, brain_areas
            )
        ]

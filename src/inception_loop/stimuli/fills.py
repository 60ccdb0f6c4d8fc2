"""What a fill takes: images of which kinds, as which image classes, for how many units."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from inception_loop.artifacts.identity import Config

Shift = tuple[int, int]

CENTRE: tuple[Shift, ...] = ((0, 0),)
NINE_SHIFTS: tuple[Shift, ...] = tuple((x, y) for y in (-1, 0, 1) for x in (-1, 0, 1))
"""The published 3×3 displacements of `fill_multimei_stimulus`."""


class Taken(NamedTuple):
    """Images that a fill takes.

    Attributes
    ----------
    kind
        Kind of artifact that they were processed from, e.g. ``grad_rf``.
    image_class
        What the rig calls them, e.g. ``multi_lin_rf``.
    model_type
        What the analysis calls them, e.g. ``linear``.
    """

    kind: str
    image_class: str
    model_type: str


class FillRules(Config):
    """What all fills have in common."""

    takes: ClassVar[tuple[Taken, ...]]
    name: ClassVar[str]

    max_rank: int = Field(150, gt=0, description="Units with hu_rank below this get their images.")
    min_units: int = Field(0, ge=0, description="Fewer selected units are an error.")
    leave_out: tuple[str, ...] = Field(
        (), description="Units to show no images of, though selected: scan/unit_id."
    )
    tolerance: float = Field(
        0.05, gt=0, description="Larger relative misses of the target's mean or contrast are refused."
    )
    shifts: tuple[Shift, ...] = Field(
        CENTRE, description="Displacements (x, y) of each image that are taken, px; the centre among them."
    )

    @model_validator(mode="after")
    def _centred(self) -> Self:
        if (0, 0) not in self.shifts or len(set(self.shifts)) != len(self.shifts):
            raise ValueError(f"shifts are {self.shifts}; expected each once, (0, 0) among them")
        return self


class MultiMeiFill(FillRules):
    """MEI of the CNN beside the linear RF image, each at 3×3 displacements."""

    name = "fill_multimei_stimulus"
    takes = (Taken("mei", "multi_cnn_mei", "cnn"), Taken("grad_rf", "multi_lin_rf", "linear"))
    type: Literal["multimei"] = "multimei"
    shifts: tuple[Shift, ...] = Field(
        NINE_SHIFTS,
        description="Displacements (x, y) of each image that are taken, px; the centre among them.",
    )


class GaborFill(FillRules):
    """The best Gabor."""

    name = "fill_gabor_stimulus"
    takes = (Taken("best_gabor", "gabor", "gabor"),)
    type: Literal["gabor"] = "gabor"


class TightMeiVsImagenetFill(FillRules):
    """The tight-masked MEI beside the best masked natural image."""

    name = "fill_tight_mei_vs_imagenet_stimulus"
    takes = (
        Taken("masked_mei", "masked_mei", "masked_cnn"),
        Taken("best_tight_masked_imagenet", "masked_imagenet", "masked_natural"),
    )
    type: Literal["tight_mei_vs_imagenet"] = "tight_mei_vs_imagenet"


class UnmaskedFill(FillRules):
    """The best natural image, whole."""

    name = "fill_unmasked_stimulus"
    takes = (Taken("best_natural_image", "unmasked_imgnet", "natural"),)
    type: Literal["unmasked"] = "unmasked"


Fill = Annotated[
    MultiMeiFill | GaborFill | TightMeiVsImagenetFill | UnmaskedFill, Field(discriminator="type")
]
"""A new fill is a class above, with what it takes, and its name here."""

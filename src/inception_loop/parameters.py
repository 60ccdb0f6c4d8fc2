"""The frozen parameter model of every stage: one definition for flows, console script and UI forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from inception_loop.animals.recorded import AnimalConfig, AnimalDayConfig
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.closed_loop.diagonal import Control
from inception_loop.credentials import refuse_credentials
from inception_loop.dataset.config import CorrectedAreaLayer, DatasetConfig
from inception_loop.errors import ConfigurationError
from inception_loop.faults import in_words
from inception_loop.images.rules import ImageRules
from inception_loop.network.config import CorePlusReadout
from inception_loop.quality.rules import QualityRules
from inception_loop.recordings.options import Format, ReadOptions
from inception_loop.recordings.recording import ScanKey
from inception_loop.references import Meant, Of
from inception_loop.selection.config import SelectionRules
from inception_loop.stimuli.recognition import Unmatched
from inception_loop.stimuli.rules import StimulusRules
from inception_loop.training.config import SEEDS, ModelConfig, TrainConfig
from inception_loop.training.grid import MOST_MODELS, MostModels, PartsGrid, refuse_too_many
from inception_loop.training.published import PublishedGrid
from inception_loop.training.restriction import Restriction, restrict

P = TypeVar("P", bound=Config)

RecordingRef = Annotated[ArtifactRef, Of("recording")]
TruthRef = Annotated[ArtifactRef, Of("animal_truth")]
DatasetRef = Annotated[ArtifactRef, Of("static_multi_dataset")]
ModelRef = Annotated[ArtifactRef, Of("model")]
TargetModelRef = Annotated[ArtifactRef, Of("target_model")]
SelectionRef = Annotated[ArtifactRef, Of("corrected_high_unit_selection")]
PanelRef = Annotated[ArtifactRef, Of("truth_panel")]
PicturesRef = Annotated[ArtifactRef, Of("image_set")]
CalibrationRef = Annotated[ArtifactRef, Of("monitor_calibration")]
StimulusRef = Annotated[ArtifactRef, Of("stimulus_set")]
GalleryRef = Annotated[ArtifactRef, Of("gallery")]
EvidenceRef = Annotated[ArtifactRef, Of("evidence")]
AnyRef = Annotated[ArtifactRef, Of()]

GROUP = Field(0, ge=0, description="Number of the group of scans that are trained together.")
LOOP = Field(0, ge=0, description="Number of the closed loop.")
Matching = Annotated[
    Literal["proximity", "assigned"],
    Field(
        description="Which rule says which cell is which: proximity, the published one (nearest soma), or "
        "assigned (one to one, by place and tuning). Both are made and reported."
    ),
]
LeastProbability = Annotated[
    float, Field(ge=0, le=1, description="Assigned matches less probable than this are flagged and not used.")
]


class PresentParameters(Config):
    """A digital animal sees images and hands over a recording."""

    day: AnimalDayConfig = Field(description="The animal, the day and, unless a set is shown, the images.")
    stimulus: StimulusRef | None = Field(None, description="Stimulus set to show instead of natural images.")
    twin_path: str | None = Field(None, description="NPZ file of the network that plays the animal.")


class ImportParameters(Config):
    """A recording from disk becomes artifacts."""

    path: str = Field(description="File or folder of the recording, on the machine that runs the flow.")
    scan: ScanKey = Field(description="The scan that it is of.")
    format: Format | None = Field(None, description="Format of the files; by default found by content.")
    options: ReadOptions = Field(ReadOptions(), description="What the files do not say.")
    stimulus_set: StimulusRef | None = Field(
        None, description="What the rig showed: its conditions are recognised by their images."
    )
    export: str | None = Field(
        None, description="The same as the folder that the rig was given, on the machine that runs the flow."
    )
    unmatched: Unmatched = Field(
        "refuse", description="Images that the set does not hold: refuse them, or exclude their trials."
    )


class IngestParameters(Config):
    """Recordings become the tables of their scans."""

    recordings: tuple[RecordingRef, ...] = Field(min_length=1, description="Artifacts of kind recording.")


class DatasetParameters(Config):
    """The tables of several scans become a StaticMultiDataset."""

    recordings: tuple[RecordingRef, ...] = Field(min_length=1, description="Artifacts of kind recording.")
    config: DatasetConfig = Field(DatasetConfig(group_id=0), description="Rules of the dataset.")
    quality: QualityRules = Field(QualityRules(), description="Signs of a bad recording.")


class Grid(Config):
    """Networks × seeds on one data configuration."""

    type: Literal["networks"] = "networks"
    networks: tuple[CorePlusReadout, ...] = Field(min_length=1, description="The network configurations.")
    seeds: tuple[int, ...] = Field(SEEDS[:2], min_length=1, description="One model a network and seed.")
    train: TrainConfig = Field(TrainConfig(), description="How each is trained.")
    data: CorrectedAreaLayer = Field(CorrectedAreaLayer(), description="Units and normalisation.")
    restriction: Restriction | None = Field(
        None, description="Plain expression: which of the models are meant; none: all."
    )
    most_models: MostModels = MOST_MODELS

    def models(self, group_id: int) -> list[ModelConfig]:
        """Enumerate the models of the grid, network by network."""
        every = [
            ModelConfig(group_id=group_id, data=self.data, network=network, train=self.train, seed=seed)
            for network in self.networks
            for seed in self.seeds
        ]
        chosen = restrict(every, self.restriction)
        if not chosen:
            raise ConfigurationError(
                f"the restriction {self.restriction!r} leaves none of the {len(every)} models; loosen it"
            )
        refuse_too_many(len(chosen), self.most_models)
        return chosen


def _form_of(grid: Any) -> str:
    form = grid.get("type", "networks") if isinstance(grid, Mapping) else getattr(grid, "type", "networks")
    return str(form)


AnyGrid = Annotated[
    Annotated[Grid, Tag("networks")]
    | Annotated[PartsGrid, Tag("parts")]
    | Annotated[PublishedGrid, Tag("published")],
    Discriminator(
        _form_of,
        custom_error_type="grid_form",
        custom_error_message="expected the type networks, parts or published",
    ),
]
"""What is trained: networks × seeds (the form without a type), combinations of parts, or the published."""


def data_of(models: Sequence[ModelConfig]) -> CorrectedAreaLayer:
    """Return the one data configuration of some models.

    Raises
    ------
    ConfigurationError
        If they have several: units are selected on one.
    """
    found = list(dict.fromkeys(model.data for model in models))
    if len(found) != 1:
        raise ConfigurationError(
            f"the grid has {len(found)} data configurations; expected one, since units are selected on it; "
            "restrict the grid, as by data.layer = 'L2/3'"
        )
    return found[0]


class TrainParameters(Config):
    """Networks that predict the responses are trained and scored."""

    group_id: int = GROUP
    dataset: DatasetRef = Field(description="The StaticMultiDataset.")
    grid: AnyGrid = Field(description="What is trained.")
    core: ModelRef | None = Field(
        None, description="A trained model whose core all take over: the rest is fitted to the dataset."
    )

    def models(self) -> list[ModelConfig]:
        """Enumerate what is trained."""
        return self.grid.models(self.group_id)


class SelectParameters(Config):
    """Oracle, ranking, choice of models and selection of units."""

    group_id: int = GROUP
    dataset: DatasetRef = Field(description="The StaticMultiDataset.")
    models: tuple[ModelRef, ...] = Field(min_length=1, description="The trained models.")
    truths: tuple[TruthRef, ...] = Field((), description="Truths of the source scans, if known.")
    data: CorrectedAreaLayer = Field(CorrectedAreaLayer(), description="Data configuration of the models.")
    selection: SelectionRules = Field(SelectionRules(), description="The rules.")


class MeiParameters(Config):
    """MEI, linear RF and best natural image of every wanted unit."""

    group_id: int = GROUP
    dataset: DatasetRef = Field(description="The StaticMultiDataset.")
    target_model: TargetModelRef = Field(description="The ensembles, and the networks that judge.")
    selection: SelectionRef = Field(description="The CorrectedHighUnitSelection.")
    panel: PanelRef | None = Field(None, description="The truth panel (digital animals only).")
    pictures: PicturesRef | None = Field(
        None, description="Images to search instead of the dataset's: an image_set."
    )
    recording: RecordingRef | None = Field(
        None,
        description="Images are made of the units of this scan alone; none: of all scans of the dataset.",
    )
    images: ImageRules = Field(ImageRules(), description="How the images are made.")


class StimulusParameters(Config):
    """Images become the stimulus set of a later day."""

    group_id: int = GROUP
    loop_group: int = LOOP
    recording: RecordingRef = Field(
        description="The source recording: images of its units are shown, and its oracle images."
    )
    gallery: GalleryRef | None = Field(
        None, description="The gallery of the images: it names images, selection and panel, if these are not."
    )
    images: tuple[AnyRef, ...] = Field(
        (), description="Artifacts that hold images of units; none: those of the gallery."
    )
    target_model: TargetModelRef = Field(description="The networks that predict what the bytes will do.")
    selection: SelectionRef | None = Field(
        None, description="The CorrectedHighUnitSelection: whose images are shown; none: the gallery's."
    )
    panel: PanelRef | None = Field(
        None, description="The truth panel (digital animals only); none: the gallery's."
    )
    calibrations: tuple[CalibrationRef, ...] = Field(
        (), description="Monitor calibrations; the one nearest in time to the recording's counts."
    )
    before: StimulusRef | None = Field(None, description="An earlier set, whose image numbers are taken.")
    rules: StimulusRules = Field(StimulusRules(), description="Which images are shown, and how.")
    name_target: bool = Field(
        True, description="Whether the set is what the rig shows next; false: it may be named later."
    )

    @model_validator(mode="after")
    def _images_are_named(self) -> Self:
        if self.gallery is None and (self.selection is None or not self.images):
            lacking = "images" if not self.images else "selection"
            raise ValueError(f"neither gallery nor {lacking} is given; expected the gallery of the images")
        return self


class LaterScan(Config):
    """A later day of a loop."""

    recording: RecordingRef = Field(description="Its recording.")
    stimulus_set: StimulusRef = Field(description="What it showed.")
    truth: TruthRef | None = Field(None, description="Its truth (digital animals only).")
    day: int = Field(ge=1, description="Days since the source scan.")


class ClosedLoopParameters(Config):
    """Later days are matched to the source scan and compared; the evidence of the loop."""

    loop_group: int = LOOP
    source: RecordingRef = Field(description="The source recording.")
    source_truth: TruthRef | None = Field(None, description="Its truth (digital animals only).")
    later: tuple[LaterScan, ...] = Field(min_length=1, description="The later days.")
    selection: SelectionRef = Field(description="The CorrectedHighUnitSelection.")
    panel: PanelRef | None = Field(None, description="The truth panel (digital animals only).")
    dataset: DatasetConfig | None = Field(
        None, description="Rules of responses; none: those of the dataset that the selection was made on."
    )
    matching: Matching = "proximity"
    least_match_probability: LeastProbability = 0.5
    n_permutations: int = Field(99_999, ge=99, description="Permutations of image labels.")
    seed: int = Field(0, ge=0, description="Seed of the permutations.")

    @model_validator(mode="after")
    def _each_day_once(self) -> Self:
        days = [one.recording for one in self.later]
        twice = next((ref for ref in days if days.count(ref) > 1), None)
        if twice is not None:
            raise ValueError(f"later lists the recording {twice} twice; expected each later day once")
        return self


class AcrossLoopsParameters(Config):
    """Several loops, of one or several animals, in one analysis."""

    loop_groups: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="Numbers of loops; the store has to hold one evidence of each."
    )
    evidence: tuple[EvidenceRef, ...] = Field(
        (), description="Loops by their evidence, beside those given by number or instead."
    )
    controls: tuple[Control, ...] = Field(
        (), description="What own images are compared with, in every loop; none: what at least one loop has."
    )
    n_permutations: int = Field(99_999, ge=99, description="Sign flips, where they are not enumerated.")
    seed: int = Field(0, ge=0, description="Seed of the sign flips and of the bootstrap.")

    @model_validator(mode="after")
    def _several_loops(self) -> Self:
        if len(set(self.loop_groups)) < len(self.loop_groups):
            raise ValueError("loop_groups names a loop twice; expected each loop once")
        if len(self.loop_groups) + len(self.evidence) < 2:
            raise ValueError(
                "fewer than two loops are given; expected several, as loop_groups = [0, 1] or evidence = "
                '["evidence/0123abcd", "evidence/4567cdef"]'
            )
        return self


class ReportParameters(Config):
    """What a loop recovered of its animal's truth, and the report of everything."""

    evidence: EvidenceRef | None = Field(
        None, description="The evidence of the loop: everything else is found by what was made from what."
    )
    group_id: int = GROUP
    loop_group: int = LOOP
    refs: dict[str, tuple[AnyRef, ...]] = Field(
        {}, description="Every artifact of the loop by kind, if it is not to be found from the evidence."
    )

    @model_validator(mode="after")
    def _evidence_or_everything(self) -> Self:
        if (self.evidence is None) == (not self.refs):
            given = "neither evidence nor refs is" if self.evidence is None else "evidence and refs are both"
            raise ValueError(f'{given} given; expected one of them, as evidence = "evidence/0123abcd"')
        return self


def refuse_lacking_images(stimulus: StimulusRules, images: ImageRules) -> None:
    """Refuse fills that show images which nothing makes.

    Raises
    ------
    ValueError
        With the first of them.
    """
    for fill in stimulus.fills:
        lacking = sorted({taken.kind for taken in fill.takes} - images.kinds)
        if lacking:
            raise ValueError(
                f"the fill {fill.type} shows {lacking[0]}, which images.also does not make; "
                "add it there, or leave the fill out of stimulus.fills"
            )


def refuse_luminance_networks(dataset: DatasetConfig) -> None:
    """Refuse a dataset in cd/m² where images are made of its networks.

    Raises
    ------
    ValueError
        If it is one.
    """
    if dataset.frame.gamma:
        raise ValueError(
            "dataset.frame.gamma = true trains networks on cd/m²; expected false, since images are made in "
            "grey levels; to show them alike in cd/m² takes a calibration, see stimulus.target"
        )


class LoopParameters(Config):
    """The whole loop on a digital animal."""

    animal: AnimalConfig = Field(SimulatedConfig(), description="The animal.")
    twin_path: str | None = Field(None, description="NPZ file of the network that plays the animal.")
    session: NaturalSessionConfig = Field(NaturalSessionConfig(), description="Images of the first day.")
    days: int = Field(1, ge=1, description="Later days on which the stimulus set is shown.")
    dataset: DatasetConfig = Field(DatasetConfig(group_id=0), description="Rules of the dataset.")
    quality: QualityRules = Field(QualityRules(), description="Signs of a bad recording.")
    grid: AnyGrid = Field(description="The networks.")
    selection: SelectionRules = Field(SelectionRules(), description="Which units images are made for.")
    images: ImageRules = Field(ImageRules(), description="How images are made.")
    stimulus: StimulusRules = Field(StimulusRules(), description="What the later days show, and how.")
    loop_group: int = LOOP
    matching: Matching = "proximity"
    least_match_probability: LeastProbability = 0.5
    n_permutations: int = Field(99_999, ge=99, description="Permutations of image labels.")

    @model_validator(mode="after")
    def _shown_are_made(self) -> Self:
        refuse_lacking_images(self.stimulus, self.images)
        return self

    @model_validator(mode="after")
    def _networks_see_grey_levels(self) -> Self:
        refuse_luminance_networks(self.dataset)
        return self

    def models(self) -> list[ModelConfig]:
        """Enumerate what is trained."""
        return self.grid.models(self.dataset.group_id)


def parse(model: type[P], values: Mapping[str, Any], meant: Meant | None = None) -> P:
    """Build parameters from plain values (a TOML file, a form), and check that their grid names models.

    Parameters
    ----------
    model
        The parameters' class.
    values
        Plain values by field.
    meant
        Looks up artifacts that are given by name, ``static_multi_dataset/0123abcd``; by default none may be.

    Raises
    ------
    ConfigurationError
        One line that names every wrong field, what it got and what was expected; or what is wrong with the
        grid: an unknown family, a restriction that is none, too many models; or where an address holds
        credentials, which are not repeated.

    Examples
    --------
    >>> parse(IngestParameters, {"recordings": [], "extra": 1})
    Traceback (most recent call last):
    ...
    inception_loop.errors.ConfigurationError: IngestParameters: ...
    """
    refuse_credentials(values, model.__name__)
    try:
        parameters = model.model_validate(values, context={"meant": meant})
    except ValidationError as error:
        said = in_words(error, model=model, values=values)
        raise ConfigurationError(f"{said} (see --print-schema)") from error
    if isinstance(parameters, TrainParameters):
        parameters.models()
    if isinstance(parameters, LoopParameters):
        data_of(parameters.models())
    return parameters

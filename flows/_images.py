"""Which steps make the images of units, and what each of them needs of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, NamedTuple

from flows._stage import Stage
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.errors import ConfigurationError
from inception_loop.images import masked_mei, mei, rf, variants
from inception_loop.images.ascent.objectives import Wanted
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.gabors import best as best_gabor
from inception_loop.images.gabors import optimal as optimal_gabor
from inception_loop.images.masks import artifact as masks
from inception_loop.images.natural import masked as masked_natural
from inception_loop.images.natural import whole as natural
from inception_loop.images.network import Networks, TrainedEnsemble
from inception_loop.images.rules import ImageName, ImageRules
from inception_loop.images.wanted import statistics_of
from inception_loop.selection.target_model import target_models
from inception_loop.training.ensemble import load_ensemble
from inception_loop.training.pixel_model import PixelModel

Models = Sequence[ArtifactRef]
SURROUNDS: dict[ImageName, Wanted] = {"surround": "exciting", "suppressing_surround": "inhibiting"}


class Judged(NamedTuple):
    """The trained models of a group by what they are for."""

    cnn: Models
    linear: Models
    validators: Models

    @classmethod
    def of(cls, store: ArtifactStore, target_model: ArtifactRef) -> Judged:
        """Read which models a ``target_model`` names."""
        return cls(
            target_models(store, target_model, "cnn"),
            target_models(store, target_model, "linear"),
            target_models(store, target_model, "cnn", "validator"),
        )

    def for_cnn(self) -> dict[str, Models]:
        """Return the inputs of an image made for the CNN."""
        return {"models": self.cnn, "validators": self.validators}

    def for_linear(self) -> dict[str, Models]:
        """Return the inputs of an image made for the linear network; the CNN compares it with others."""
        return {"models": self.linear, "reference": self.cnn, "validators": self.validators}


def with_ensembles(make: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Return a step that takes the models of ensembles where ``make`` takes `Networks`."""

    @wraps(make)
    def step(
        store: ArtifactStore,
        config: Config,
        *,
        models: Models,
        reference: Models = (),
        validators: Models = (),
        load: Callable[..., PixelModel] = load_ensemble,
        **inputs: Any,
    ) -> Outcome:
        own, compared, judged = (
            TrainedEnsemble(tuple(refs), partial(load, store, refs)) if refs else None
            for refs in (models, reference, validators)
        )
        if own is None:
            raise ConfigurationError("images are wanted of no model; expected an ensemble of one or more")
        return make(store, config, networks=Networks(own, compared, judged), **inputs)

    return step


class Batch:
    """Submits the steps that make the images of some units: of a batch, or of all of a scan.

    Parameters
    ----------
    stage, rules, models
        Where to, which images, made for and judged by whom.
    pictures
        Natural images to search.
    label
        What the batch is called.
    target
        ``group_id``, ``name`` and ``units``.
    """

    def __init__(
        self,
        stage: Stage,
        rules: ImageRules,
        models: Judged,
        pictures: ArtifactRef,
        label: str,
        **target: Any,
    ) -> None:
        self.stage, self.rules, self.label, self.pictures = stage, rules, label, pictures
        state = {"eye": rules.eye, "behavior": rules.behavior, "precision": rules.precision}
        self.target = {**target, **state}
        self.of = {**self.target, "judging": rules.judging}
        mean, contrast = statistics_of(rules.procedure)
        self.shown = {**self.of, "mean": mean, "contrast": contrast}
        fast = rules.procedure if isinstance(rules.procedure, Fast) else Fast(mean=mean, contrast=contrast)
        self.climbed = {**self.of, "procedure": fast, "seed": rules.seed}
        self.searched = {"which": rules.searched}
        self.cnn, self.linear = models.for_cnn(), models.for_linear()

    def submit(self) -> None:
        """Submit the MEI, and what else the rules ask for that is climbed or cut out of it."""
        also, rules = set(self.rules.also), self.rules
        ascent = {**self.of, "procedure": rules.procedure, "seed": rules.seed}
        best = self._step(mei.make_mei, mei.MeiConfig(**ascent), **self.cnn)
        if "inhibiting" in also:
            inhibiting = mei.MeiConfig(**ascent, objective="inhibiting")
            self._step(mei.make_mei, inhibiting, "inhibiting ", **self.cnn)
        if "linear_rf" in also:
            self._step(rf.make_grad_rf, rf.GradRFConfig(**ascent), **self.linear)
        if "mei_mask" in also:
            self._mask(masks.make_mei_mask, masks.MEIMaskConfig(**self.target, rule=rules.outline), best)
        if "gaussian_mask" in also:
            self._mask(masks.make_gaussian_mask, masks.GaussianMaskConfig(**self.target), best)
        if also & {"masked", "diverse", "surround", "suppressing_surround"}:
            self._masked(best, also)

    def submit_searches(self) -> None:
        """Submit what looks at many pictures once for all units: natural images and Gabors."""
        also, rules = set(self.rules.also), self.rules
        if "natural" in also:
            search = natural.BestNaturalImageConfig(**self.shown, **self.searched, distinct=rules.distinct)
            self._step(natural.make_best_natural_image, search, pictures=self.pictures, **self.cnn)
        if also & {"gabor", "optimal_gabor"}:
            grid = best_gabor.BestGaborConfig(**self.shown, grid=rules.gabors)
            found = self._step(best_gabor.make_best_gabor, grid, **self.cnn)
            if "optimal_gabor" in also:
                optimal = optimal_gabor.OptimalGaborConfig(**self.shown)
                self._step(optimal_gabor.make_optimal_gabor, optimal, best_gabor=found, **self.cnn)

    def _masked(self, best: Any, also: set[ImageName]) -> None:
        rules = self.rules
        config = masks.TightMEIMaskConfig(
            **self.target, parameter_set=rules.mask, rule=rules.mask_rule, keep=rules.mask_keep
        )
        both = {"mei": best, "mask": self._mask(masks.make_tight_mei_mask, config, best), **self.cnn}
        if "masked" in also:
            self._step(masked_mei.make_masked_mei, masked_mei.MaskedMeiConfig(**self.shown), **both)
            search = masked_natural.BestTightMaskedImagenetConfig(
                **self.shown, **self.searched, screen=rules.screen
            )
            inputs = {"mask": both["mask"], "pictures": self.pictures, **self.cnn}
            self._step(masked_natural.make_best_tight_masked_imagenet, search, **inputs)
        if "diverse" in also:
            of = {**self.climbed, "images": rules.diverse, "share": rules.share}
            self._step(variants.make_diverse_mei, variants.DiverseMeiConfig(**of), **both)
        for name, wanted in SURROUNDS.items():
            if name in also:
                surround = variants.SurroundMeiConfig(**self.climbed, objective=wanted)
                self._step(variants.make_surround_mei, surround, f"{wanted} ", **both)

    def _mask(self, make: Callable[..., Outcome], config: Config, best: Any) -> Any:
        return self._step(make, config, mei=best, models=self.cnn["models"])

    def _step(self, make: Callable[..., Outcome], config: Config, kind: str = "", /, **inputs: Any) -> Any:
        return self.stage.submit(with_ensembles(make), config, label=kind + self.label, **inputs)

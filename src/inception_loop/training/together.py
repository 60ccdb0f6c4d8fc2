"""Several models of the store trained as one stack, each reserved, refused and committed on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from inception_loop.artifacts.attempt import Attempt, Progress
from inception_loop.artifacts.computing import Build
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.errors import ConfigurationError, InceptionLoopError
from inception_loop.training.config import ModelConfig
from inception_loop.training.fitting import Fitted, fit
from inception_loop.training.model import MODEL, model_inputs, write_model
from inception_loop.training.schedule import MOST, Plan, most_together, plan
from inception_loop.training.shapes import shape_of

T = TypeVar("T")
Make = Callable[[ModelConfig, Build], T]
"""Makes one model with the build function that it is given: `ArtifactStore.make` and what goes around it."""


def plan_for(store: ArtifactStore, models: Sequence[ModelConfig], dataset: ArtifactRef) -> Plan:
    """Plan what is trained together on the device of a store; see `plan`."""
    device = torch.device(store.settings.device)
    most = MOST
    if device.type == "cuda" and models:
        units = int(store.table(dataset, "members")["n_units"].sum())
        shapes = store.manifest(store.inputs(dataset)["frame"][0]).payloads["frames"].shapes or {}
        _, height, width = shapes["frames"]
        free, _ = torch.cuda.mem_get_info(device)
        most = min(most_together(model, units, (height, width), free) for model in models)
    return plan(models, store.settings.device, most)


def make_models(
    store: ArtifactStore,
    configs: Sequence[ModelConfig],
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
    on_progress: Progress | None = None,
    wait: bool = True,
) -> tuple[Outcome, ...]:
    """Train the models that are missing as one stack.

    Parameters
    ----------
    store
        Where models are looked up, reserved and kept; also says on which device.
    configs
        Of the same shapes: see `plan`, which makes such groups.
    dataset, core, on_progress, wait
        As of `make_model`. Progress is that of the whole stack.

    Returns
    -------
    tuple of Outcome
        One for each of ``configs``, in their order.

    Raises
    ------
    InceptionLoopError
        The first of the models' own errors, once the sound ones are committed.
    """

    def make(config: ModelConfig, build: Build) -> Outcome:
        inputs = model_inputs(dataset, core)
        return store.make(MODEL, config, build, inputs, on_progress=on_progress, wait=wait)

    made = together(store, configs, make, dataset=dataset, core=core)
    for config in configs:
        if isinstance(error := made[config], InceptionLoopError):
            raise error
    return tuple(made[config] for config in configs)  # type: ignore[misc]  # no error is among them


def together(
    store: ArtifactStore,
    configs: Sequence[ModelConfig],
    make: Make[T],
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
) -> dict[ModelConfig, T | InceptionLoopError]:
    """Make models of the same shapes, each by ``make``, those that are missing trained as one stack.

    Every model is reserved in the order of the digests, so that two workers that want the same ones never
    wait for each other in a circle. The innermost reservation trains all that are held; then each model is
    written by its own build.

    Returns
    -------
    dict
        What ``make`` returned for each configuration, or the error that it raised.

    Raises
    ------
    ConfigurationError
        If the shapes differ: no configuration is to blame for that, but who put them together.
    """
    if len({shape_of(config) for config in configs}) > 1:
        raise ConfigurationError(
            f"{len(configs)} models of different shapes were to be a stack; expected models that differ in "
            "seeds and strengths of regularisers only, of the same data in equal batches; see `plan`"
        )
    inputs = model_inputs(dataset, core)
    ordered = sorted(set(configs), key=lambda config: store.ref(MODEL, config, inputs).digest)
    stack = _Together(store, make, dataset, core)
    stack.reserve(ordered, [])
    return stack.made


class _Together(Generic[T]):
    def __init__(
        self, store: ArtifactStore, make: Make[T], dataset: ArtifactRef, core: ArtifactRef | None
    ) -> None:
        self._store, self._make = store, make
        self._dataset, self._core = dataset, core
        self._fitted: dict[ModelConfig, Fitted | InceptionLoopError] = {}
        self.made: dict[ModelConfig, T | InceptionLoopError] = {}

    def reserve(self, left: list[ModelConfig], held: list[tuple[Attempt, ModelConfig]]) -> None:
        """Make the first of some models around the making of the others; train when none is left."""
        if not left:
            self._train(held)
            return
        config, *others = left
        reserved = False

        def build(attempt: Attempt) -> None:
            nonlocal reserved
            reserved = True
            self.reserve(others, [*held, (attempt, config)])
            fitted = self._fitted[config]
            if isinstance(fitted, InceptionLoopError):
                raise fitted
            write_model(attempt, fitted)

        try:
            self.made[config] = self._make(config, build)
        except InceptionLoopError as error:  # its own: the others are made
            self.made[config] = error
        if not reserved:
            self.reserve(others, held)

    def _train(self, held: list[tuple[Attempt, ModelConfig]]) -> None:
        if not held:
            return
        # Those of one configuration lie together: their regularisers are computed at once.
        held = sorted(held, key=lambda one: repr(one[1].network))
        try:
            results: Sequence[Fitted | InceptionLoopError] = fit(self._store, held, self._dataset, self._core)
        except InceptionLoopError as error:  # of the data, which all have in common
            results = [error] * len(held)
        self._fitted.update(zip((config for _, config in held), results, strict=True))

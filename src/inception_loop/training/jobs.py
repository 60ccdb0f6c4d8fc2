"""The jobs of a grid: train a model, or record that its configuration cannot work; alone or as a stack."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from inception_loop.artifacts.attempt import Attempt, Progress
from inception_loop.artifacts.computing import Build
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Outcome
from inception_loop.errors import InceptionLoopError, ReservedError
from inception_loop.training.bad_config import BAD_CONFIG, FAULTS, make_bad_config
from inception_loop.training.config import ModelConfig
from inception_loop.training.model import MODEL, model_inputs, train_into
from inception_loop.training.tally import WAITING
from inception_loop.training.together import together


def make_model_job(
    store: ArtifactStore,
    config: ModelConfig,
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
    wait: bool = True,
    on_progress: Progress | None = None,
) -> tuple[Outcome, ...]:
    """Train one model, or record that its configuration cannot work; what stands of either is found.

    Parameters
    ----------
    store, config, dataset, core, on_progress
        As for `make_model`.
    wait
        Wait while another worker trains it.

    Returns
    -------
    The ``model`` or the ``bad_config``; nothing if another worker has reserved it and nobody is to wait.
    """

    def train(attempt: Attempt) -> None:
        train_into(attempt, store, config, dataset, core)

    return _job(store, config, train, model_inputs(dataset, core), wait=wait, on_progress=on_progress)


class ModelStack(Config):
    """Models of the same shapes, trained in one step; see `plan`."""

    models: tuple[ModelConfig, ...] = Field(min_length=1, description="What is trained.")


def make_model_stack(
    store: ArtifactStore,
    stack: ModelStack,
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
    wait: bool = True,
    on_progress: Progress | None = None,
) -> tuple[Outcome, ...]:
    """Make the models of a stack as one step; what others have reserved is left out."""
    jobs = make_model_jobs(
        store, stack.models, dataset=dataset, core=core, wait=wait, on_progress=on_progress
    )
    return tuple(outcome for model in stack.models for outcome in jobs[model])


def make_model_jobs(
    store: ArtifactStore,
    configs: Sequence[ModelConfig],
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
    wait: bool = True,
    on_progress: Progress | None = None,
) -> dict[ModelConfig, tuple[Outcome, ...]]:
    """Do what `make_model_job` does for models of the same shapes; those that are missing train as one stack.

    Returns
    -------
    dict
        For each configuration what `make_model_job` returns.

    Raises
    ------
    InceptionLoopError
        What a training raises for which its configuration is not to blame, once the others are done.
    """
    inputs = model_inputs(dataset, core)

    def make(config: ModelConfig, train: Build) -> tuple[Outcome, ...]:
        return _job(store, config, train, inputs, wait=wait, on_progress=on_progress)

    made: dict[ModelConfig, tuple[Outcome, ...]] = {}
    for config, outcome in together(store, configs, make, dataset=dataset, core=core).items():
        if isinstance(outcome, InceptionLoopError):
            raise outcome
        made[config] = outcome
    return made


def _job(
    store: ArtifactStore,
    config: ModelConfig,
    train: Build,
    inputs: dict[str, ArtifactRef],
    *,
    wait: bool,
    on_progress: Progress | None,
) -> tuple[Outcome, ...]:
    bad = store.ref(BAD_CONFIG, config, inputs)
    if store.exists(bad) and not store.exists(store.ref(MODEL, config, inputs)):
        return (Outcome(bad, cached=True),)

    def build(attempt: Attempt) -> None:
        # All of it happens under the model's lease: no other worker trains what is being recorded as bad.
        if store.exists(bad):
            raise _NotTrained(Outcome(bad, cached=True))
        try:
            train(attempt)
        except FAULTS as error:
            raise _NotTrained(make_bad_config(store, config, error, **inputs)) from error

    for patient in (False, True):
        try:
            return (store.make(MODEL, config, build, inputs, on_progress=on_progress, wait=patient),)
        except _NotTrained as found:
            return (found.outcome,)
        except ReservedError:
            if not wait:
                break
            (on_progress or store.progress)(0, 0, WAITING)
    return ()


class _NotTrained(Exception):  # noqa: N818  # no error: it ends a build whose answer is a bad configuration
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome

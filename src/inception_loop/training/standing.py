"""What of a grid is trained already: read from the store, nothing is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.training.bad_config import BAD_CONFIG, load_bad_config
from inception_loop.training.config import ModelConfig
from inception_loop.training.labels import labels_of
from inception_loop.training.model import MODEL, model_inputs


class Standing(NamedTuple):
    """How a model stands.

    Attributes
    ----------
    label
        What tells it from the others.
    state
        ``trained``; ``bad``: its configuration is recorded as one that cannot work; else ``missing``.
    reason
        Why it is bad; otherwise empty.
    ref
        The model that stands or would be made; the record if it is bad.
    """

    label: str
    state: Literal["trained", "missing", "bad"]
    reason: str
    ref: ArtifactRef


def standing(
    store: ArtifactStore,
    models: Sequence[ModelConfig],
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
) -> list[Standing]:
    """Tell of every model whether it stands, in the order of ``models``. Nothing is written.

    Parameters
    ----------
    store
        Where they are looked up.
    models
        Configurations; a grid's ``models(group_id)``.
    dataset, core
        As for `populate`.

    Raises
    ------
    ArtifactNotFoundError
        If the dataset or the core does not stand.
    ConfigurationError
        If they lie in another store.
    """
    inputs = model_inputs(dataset, core)
    for ref in inputs.values():
        store.manifest(ref)
    return [_of(store, config, label, inputs) for config, label in labels_of(models).items()]


def _of(store: ArtifactStore, config: ModelConfig, label: str, inputs: dict[str, ArtifactRef]) -> Standing:
    ref, record = (store.ref(kind, config, inputs) for kind in (MODEL, BAD_CONFIG))
    if store.exists(ref):
        return Standing(label, "trained", "", ref)
    if store.exists(record):
        return Standing(label, "bad", load_bad_config(store, record).reason, record)
    return Standing(label, "missing", "", ref)

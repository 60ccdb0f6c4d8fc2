"""BadConfig: a model's configuration that cannot work on its dataset is recorded with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.artifacts.upkeep import take_back
from inception_loop.errors import ConfigurationError, DataError, InceptionLoopError, TrainingError
from inception_loop.network.config import CorePlusReadout
from inception_loop.training.config import ModelConfig
from inception_loop.training.labels import labels_of
from inception_loop.training.model import MODEL, model_inputs

FAULTS = (ConfigurationError, DataError, TrainingError)
"""What a configuration is to blame for. All else (a store that fails, no memory) may pass: never recorded."""

BAD_CONFIG = Kind(
    name="bad_config",
    version=MODEL.version,  # what another version of the step does with the configuration is another question
    meaning="A model's configuration that cannot work on its dataset, and why; it is not tried again.",
    payloads={
        "bad_config": Table(
            {
                "what": Column(pa.string(), "the model: its core, what is not the default, its seed"),
                "error": Column(pa.string(), "class of the error"),
                "reason": Column(pa.string(), "what was wrong, in one line"),
                "step_version": Column(pa.int64(), "version of the step 'model' that failed"),
            }
        )
    },
    partition=GROUP,
)


class BadConfig(NamedTuple):
    """Why a configuration cannot work; see the kind ``bad_config``."""

    what: str
    error: str
    reason: str
    step_version: int


def make_bad_config(
    store: ArtifactStore,
    config: ModelConfig,
    error: InceptionLoopError,
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
) -> Outcome:
    """Record that a model's configuration cannot work on a dataset.

    Parameters
    ----------
    store, config, dataset, core
        As for the model.
    error
        What its training raised.
    """
    found = BadConfig(_what(config), type(error).__name__, str(error), BAD_CONFIG.version)

    def build(attempt: Attempt) -> None:
        attempt.write_table("bad_config", pl.DataFrame([found._asdict()]))
        attempt.report(label=found.what, error=found.error, reason=found.reason)

    return store.make(BAD_CONFIG, config, build, inputs=model_inputs(dataset, core))


def _what(config: ModelConfig) -> str:
    """Name a model by all that is not the default of its core."""
    plain = CorePlusReadout(core=type(config.network.core)())
    return labels_of([config, ModelConfig(group_id=config.group_id, network=plain)])[config]


def load_bad_config(store: ArtifactStore, ref: ArtifactRef) -> BadConfig:
    """Return what a ``bad_config`` says."""
    return BadConfig(**store.table(ref, "bad_config").row(0, named=True))


def clear_bad_config(
    store: ArtifactStore,
    config: ModelConfig,
    *,
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
    because: str,
) -> bool:
    """Take the record back, so that the next populate tries the configuration again.

    Parameters
    ----------
    store, config, dataset, core
        As for the model.
    because
        Why it may work now; kept beside the record.

    Returns
    -------
    Whether there was one.
    """
    ref = store.ref(BAD_CONFIG, config, model_inputs(dataset, core))
    return take_back(store, ref, because)


def nothing_trained(bad: Sequence[BadConfig]) -> ConfigurationError:
    """Return the error of a run in which no configuration can work."""
    first = bad[0]
    return ConfigurationError(
        f"none of the {len(bad)} models can be trained; the first, {first.what}: "
        f"{first.error}: {first.reason}"
    )

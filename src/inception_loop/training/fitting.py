"""Training for the store: scans and a core from there, states kept there, progress to who waits."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any, NamedTuple

import torch

from inception_loop.artifacts.attempt import Attempt
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.member import member_names
from inception_loop.dataset.normalization import Normaliser
from inception_loop.errors import ConfigurationError, InceptionLoopError
from inception_loop.settings import Settings
from inception_loop.training.building import Weights, constant_units
from inception_loop.training.config import ModelConfig, TrainConfig
from inception_loop.training.pace import Pace
from inception_loop.training.scan_data import ScanData, load_scan
from inception_loop.training.shapes import forward_of
from inception_loop.training.tally import GOES_ON
from inception_loop.training.trainer import Epoch, Job, OnEpoch, Trained, train_networks

CORE = "core."
"""What the names of a core's weights begin with in a network."""


class Fitted(NamedTuple):
    """A fitted model, and what it was fitted to.

    Attributes
    ----------
    result : the trained network
    loaded : the scans with what normalised them
    findings : for the manifest
    """

    result: Trained
    loaded: list[tuple[ScanData, Normaliser]]
    findings: dict[str, Any]


def fit(
    store: ArtifactStore,
    wanted: Sequence[tuple[Attempt, ModelConfig]],
    dataset: ArtifactRef,
    core: ArtifactRef | None = None,
) -> list[Fitted | InceptionLoopError]:
    """Train one model, or several of the same shapes as a stack.

    Parameters
    ----------
    store
        Also says on which device and with how many threads.
    wanted
        Each model and the attempt at it.
    dataset, core
        As of `make_model`.

    Returns
    -------
    list
        For each model what was fitted, or its own error.

    Raises
    ------
    InceptionLoopError
        What is wrong with the data: no model can be fitted to them.
    """
    torch.set_num_threads(store.settings.threads)
    data = wanted[0][1].data
    loaded = [load_scan(store, dataset, name, data) for name in member_names(store, dataset)]
    scans = [scan for scan, _ in loaded]
    asked = [_job(store, attempt, config, core) for attempt, config in wanted]
    jobs = [job for job in asked if isinstance(job, Job)]
    results = iter(train_networks(jobs, scans, device=store.settings.device, on_epoch=_teller(wanted)))
    each = [next(results) if isinstance(job, Job) else job for job in asked]
    return [
        Fitted(one, loaded, _findings(scans, one.together)) if isinstance(one, Trained) else one
        for one in each
    ]


def _job(
    store: ArtifactStore, attempt: Attempt, config: ModelConfig, core: ArtifactRef | None
) -> Job | InceptionLoopError:
    try:
        weights = None if core is None else core_weights(store, core, config)
    except ConfigurationError as error:
        return error
    checkpoints = attempt.checkpoints(circumstances(store.settings))
    return Job(config.network, config.train, config.seed, weights, checkpoints)


def core_weights(store: ArtifactStore, model: ArtifactRef, config: ModelConfig) -> Weights:
    """Return the weights of a trained model's core by their names in the core.

    Raises
    ------
    ConfigurationError
        If it is not the core that a configuration asks for. Strengths of regularisers may differ: they do
        nothing to a core that is not trained.
    """
    found = ModelConfig.model_validate(store.manifest(model).config).network.core
    if forward_of(found) != forward_of(config.network.core):
        raise ConfigurationError(
            f"the core of {model} is {found!r}; expected that of the new model, {config.network.core!r}; "
            "give the new model the core's configuration"
        )
    weights = store.arrays(model, "weights")
    return {name.removeprefix(CORE): value for name, value in weights.items() if name.startswith(CORE)}


def circumstances(settings: Settings) -> str:
    """Return what must be the same for a training to go on to the same bytes, as text."""
    versions = [f"{package} {metadata.version(package)}" for package in ("inception-loop", "torch", "numpy")]
    device = torch.device(settings.device)
    made = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else torch.backends.cpu.get_cpu_capability()
    )
    return ", ".join([*versions, f"{settings.threads} threads", f"{device.type} ({made})"])


def most_epochs(train: TrainConfig) -> int:
    """Epochs after which a training is over, if nothing ends it earlier."""
    return min(train.max_epoch, sum(train.stage_epochs or (train.max_epoch,)))


def _teller(wanted: Sequence[tuple[Attempt, ModelConfig]]) -> OnEpoch:
    total = max(most_epochs(config.train) for _, config in wanted)
    pace = Pace(total)

    def tell(epoch: Epoch) -> None:
        if epoch.resumed:
            for attempt, _ in wanted:
                attempt.report(resumed_after=epoch.number)
            pace.after(epoch.number, 0)
            wanted[-1][0].progress(epoch.number, total, f"{GOES_ON} {epoch.number}")
            return
        stack = f" of {epoch.networks} models together" if epoch.networks > 1 else ""
        value = f"val corr {epoch.val_corr:.4f}"
        text = f"epochs{stack}, {value}{pace.after(epoch.number, epoch.images)}"
        wanted[-1][0].progress(epoch.number, total, text)

    return tell


def _findings(scans: Sequence[ScanData], together: int) -> dict[str, Any]:
    constant = {scan.name: len(units) for scan in scans if (units := constant_units(scan))}
    findings: dict[str, Any] = {"constant_units": constant} if constant else {}
    return {**findings, "trained_together": together} if together > 1 else findings

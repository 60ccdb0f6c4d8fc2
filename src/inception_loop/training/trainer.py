"""Training one network: stages of Adam with early stopping, deterministic from its seed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from inception_loop.errors import ConfigurationError, DataError, TrainingError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.network import Network
from inception_loop.training.batches import round_robin
from inception_loop.training.config import TrainConfig
from inception_loop.training.early_stopping import EarlyStopping
from inception_loop.training.objective import poisson_loss
from inception_loop.training.prefetch import prefetched
from inception_loop.training.scan_data import Batch, ScanData, check_inputs, placed, predict
from inception_loop.training.scores import pearson
from inception_loop.training.starting_positions import start_at_responses

OnEpoch = Callable[[int, float], None]
"""Called with (epoch, validation correlation) after every epoch."""

UNITS_AT_ONCE = 512
"""Units whose responses are looked at together, so that no copy of all of them is made."""

HISTORY: Mapping[str, type[pl.DataType]] = {
    "epoch": pl.Int64,
    "stage": pl.Int64,
    "learning_rate": pl.Float64,
    "train_loss": pl.Float64,
    "regularizer": pl.Float64,
    "val_corr": pl.Float64,
    "best": pl.Boolean,
}


class Trained(NamedTuple):
    """A trained network at its best weights, in evaluation mode, and how it got there.

    Attributes
    ----------
    network : Network
    val_corr : mean over the units of all scans of the single-trial validation correlation
    history : table, one row an epoch (row 0: before training); see the `model` kind for its columns
    """

    network: Network
    val_corr: float
    history: pl.DataFrame


def build_network(
    config: CorePlusReadout, scans: Sequence[ScanData], train: TrainConfig, seed: int
) -> Network:
    """Make the untrained network of a seed, its readout biases at the mean training responses.

    Raises
    ------
    ConfigurationError
        If the scans do not fit the network (eye, behaviour, image size, units).
    """
    for scan in scans:
        check_inputs(config, scan)
    sizes = {tuple(scan.images.shape[2:]) for scan in scans}
    if len(sizes) > 1:
        raise ConfigurationError(f"the scans' images have sizes {sorted(sizes)}; expected one size a group")
    generator = torch.Generator().manual_seed(seed)
    units = {scan.name: scan.n_units for scan in scans}
    height, width = sizes.pop()
    cortex = {scan.name: scan.cortex for scan in scans if scan.cortex is not None}
    network = Network(config, units, (height, width), generator, train.precision, cortex)
    for scan in scans:
        network.start_at_mean(scan.name, _mean(scan.responses, torch.from_numpy(scan.rows("train"))))
        if train.start_positions == "responses":
            start_at_responses(network, scan)
    return network


def _mean(responses: Tensor, trials: Tensor) -> Tensor:
    """Mean over some trials in float64, some units at a time."""
    parts = torch.split(responses, UNITS_AT_ONCE, dim=1)
    return torch.cat([part.index_select(0, trials).double().mean(0) for part in parts]).float()


def validation_correlation(network: Network, scans: Sequence[ScanData]) -> float:
    """Mean over the units of all scans of the single-trial correlation on the validation trials.

    A unit whose prediction or response is constant counts as 0.
    """
    each = []
    for scan in scans:
        rows = scan.rows("validation")
        observed = scan.responses[torch.from_numpy(rows)].cpu().numpy()
        each.append(np.nan_to_num(pearson(predict(network, scan, rows), observed), nan=0.0))
    return float(np.concatenate(each).mean())


def train_network(
    config: CorePlusReadout,
    scans: Sequence[ScanData],
    train: TrainConfig,
    *,
    seed: int,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train a network on one or more scans.

    Parameters
    ----------
    config
        The network.
    scans
        What it learns from; their names become its readout keys.
    train
        Batches, learning rates, stopping rule.
    seed
        Of the initial weights and of the order of the trials.
    device
        Torch device.
    on_epoch
        Progress.

    Raises
    ------
    ConfigurationError
        If the scans do not fit the network.
    DataError
        If a scan has fewer than 2 training or validation trials, or a response that is not finite.
    TrainingError
        If a loss or prediction is not finite; names epoch, seed and configuration.
    """
    for scan in scans:
        _check_trials(scan)
    network = build_network(config, scans, train, seed).to(device)
    training = _Training(network, placed(scans, device), train, seed, on_epoch)
    training.run()
    return Trained(network.eval(), training.stopping.best, pl.DataFrame(training.history, schema=HISTORY))


def _check_trials(scan: ScanData) -> None:
    for tier in ("train", "validation"):
        if len(scan.rows(tier)) < 2:
            raise DataError(
                f"{scan.name} has {len(scan.rows(tier))} trials of tier {tier}; expected at least 2"
            )
    sound = [torch.isfinite(part).all(0) for part in torch.split(scan.responses, UNITS_AT_ONCE, dim=1)]
    bad = ~torch.cat(sound)
    if bad.any():
        unit = int(bad.nonzero()[0])
        raise DataError(f"{scan.name} has responses of neuron {unit} that are not finite; leave it out")


class _Training:
    """The state that goes from epoch to epoch."""

    def __init__(
        self,
        network: Network,
        scans: list[ScanData],
        config: TrainConfig,
        seed: int,
        on_epoch: OnEpoch | None,
    ) -> None:
        self.network = network
        self.scans = {scan.name: scan for scan in scans}
        self.config = config
        self.seed = seed
        self.on_epoch = on_epoch
        self.prefetches = any(scan.prefetch_pays(config.batch_size) for scan in scans)
        self.stopping = EarlyStopping(config.patience, config.tolerance)
        self.best: dict[str, Any] = {}
        self.history: list[dict[str, float | int | bool]] = []
        self.epoch = self.began = 0

    def run(self) -> None:
        self._record(stage=0, rate=self.config.learning_rates[0], loss=math.nan)
        for stage, rate in enumerate(self.config.learning_rates):
            self.stopping.renew()
            self.began = self.epoch
            optimizer = torch.optim.Adam(_groups(self.network, rate, self.config.position_rate), lr=rate)
            while not self.stopping.exhausted and self.epoch < self._last_epoch(stage):
                self.epoch += 1
                self._record(stage, rate, self._train_epoch(optimizer))
            self.network.load_state_dict(self.best)

    def _last_epoch(self, stage: int) -> int:
        if self.config.stage_epochs is None:
            return self.config.max_epoch
        return min(self.config.max_epoch, self.began + self.config.stage_epochs[stage])

    def _record(self, stage: int, rate: float, loss: float) -> None:
        try:
            value = validation_correlation(self.network, list(self.scans.values()))
        except TrainingError as error:
            raise self._failure(str(error)) from error
        improved = self.stopping.improves(value)
        if improved:
            self.best = copy.deepcopy(self.network.state_dict())
        with torch.no_grad():
            penalty = float(sum(self.network.regularizer(key).item() for key in self.scans) / len(self.scans))
        row = (self.epoch, stage, rate, loss, penalty, value, improved)
        self.history.append(dict(zip(HISTORY, row, strict=True)))
        if self.on_epoch is not None:
            self.on_epoch(self.epoch, value)

    def _train_epoch(self, optimizer: torch.optim.Optimizer) -> float:
        """One pass over the training trials; the mean Poisson loss of its batches."""
        self.network.train()
        rows = {name: scan.rows("train") for name, scan in self.scans.items()}
        losses = []
        order = round_robin(rows, self.config.batch_size, self.seed, self.epoch, self.config.round_robin)
        batches = ((name, self.scans[name].batch(trials)) for name, trials in order)
        with closing(prefetched(batches) if self.prefetches else batches) as ready:
            for name, batch in ready:
                losses.append(self._step(optimizer, name, batch))
        return float(np.mean(losses))

    def _step(self, optimizer: torch.optim.Optimizer, name: str, batch: Batch) -> float:
        predicted: Tensor = self.network(batch.images, name, batch.eye, batch.behavior)
        loss = poisson_loss(predicted, batch.responses)
        value = loss.item()
        if not math.isfinite(value):
            raise self._failure(f"the loss of {name} is {value}")
        optimizer.zero_grad()
        (loss + self.network.regularizer(name)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        self.network.project()
        return value

    def _failure(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what} in epoch {self.epoch} (seed {self.seed}, {self.config!r}); expected finite numbers; "
            "lower the learning rates"
        )


def _groups(network: Network, rate: float, position_rate: float) -> list[dict[str, Any]]:
    """Parameters with their learning rates: positions apart from all others."""
    positions = {id(p) for key in network.readouts for p in network.readout(key).place_parameters()}
    others = [p for p in network.parameters() if id(p) not in positions]
    apart = [p for p in network.parameters() if id(p) in positions]
    return [{"params": others, "lr": rate}, {"params": apart, "lr": rate * position_rate}]

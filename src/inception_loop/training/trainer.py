"""Training networks: stages of Adam with early stopping, deterministic from their seeds, resumable."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
import torch

from inception_loop.artifacts.identity import canonical_json
from inception_loop.errors import InceptionLoopError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.network import Network
from inception_loop.training.alone import Alone
from inception_loop.training.building import Weights, build_network, check_scan
from inception_loop.training.checkpoints import Checkpoints, Keeper, resume
from inception_loop.training.config import TrainConfig
from inception_loop.training.learner import Learner
from inception_loop.training.scan_data import ScanData, placed
from inception_loop.training.stack import Stack
from inception_loop.training.trial_stream import TrialStream
from inception_loop.training.validation import validation_correlation

__all__ = [
    "Epoch",
    "Job",
    "OnEpoch",
    "Trained",
    "build_network",
    "train_network",
    "train_networks",
    "validation_correlation",
]

log = logging.getLogger(__name__)


class Epoch(NamedTuple):
    """An epoch that ended.

    Attributes
    ----------
    number : epochs trained so far; 0 is before training
    val_corr : validation correlation, mean over the networks
    networks : how many learnt in it and still can
    images : that they learnt from, all together
    resumed : no epoch that ended now, but the checkpoint that a training goes on from
    """

    number: int
    val_corr: float
    networks: int
    images: int
    resumed: bool = False


OnEpoch = Callable[[Epoch], None]
"""Called after every epoch, and when a training goes on from a checkpoint."""


class Trained(NamedTuple):
    """A trained network at its best weights, in evaluation mode, and how it got there.

    Attributes
    ----------
    network : Network
    val_corr : mean over the units of all scans of the single-trial validation correlation
    history : table, one row an epoch (row 0: before training); see the `model` kind for its columns
    together : how many networks began as one stack, this one included
    """

    network: Network
    val_corr: float
    history: pl.DataFrame
    together: int = 1


class Job(NamedTuple):
    """One network to be trained.

    Attributes
    ----------
    network : its parts
    train : batches, learning rates, stopping rule
    seed : of the initial weights and of the order of the trials
    core : weights of a trained core, which stays as it is; None: the core is trained too
    checkpoints : keeps its state after every epoch; None: nobody does
    """

    network: CorePlusReadout
    train: TrainConfig
    seed: int
    core: Weights | None = None
    checkpoints: Checkpoints | None = None


@dataclass(frozen=True)
class Member:
    """A learner, and who keeps its checkpoints."""

    learner: Learner
    checkpoints: Checkpoints | None


def train_network(
    config: CorePlusReadout,
    scans: Sequence[ScanData],
    train: TrainConfig,
    *,
    seed: int,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    core: Weights | None = None,
    checkpoints: Checkpoints | None = None,
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
    core
        Weights of a trained core, by name: only readouts, shifters and modulators are fitted to it.
    checkpoints
        Where its state is kept after every epoch, and where it goes on if there is one.

    Raises
    ------
    ConfigurationError
        If the scans do not fit the network.
    DataError
        If a scan has fewer than 2 training or validation trials, or anything that is not finite.
    TrainingError
        If a loss or prediction is not finite; names epoch, seed and configuration.
    InceptionLoopError
        If the device has no memory for it.
    """
    job = Job(config, train, seed, core, checkpoints)
    (trained,) = train_networks([job], scans, device=device, on_epoch=on_epoch)
    if isinstance(trained, InceptionLoopError):
        raise trained
    return trained


def train_networks(
    jobs: Sequence[Job],
    scans: Sequence[ScanData],
    *,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> list[Trained | InceptionLoopError]:
    """Train one network, or several at once as a stack.

    Parameters
    ----------
    jobs
        Several must have the same shapes (see `schedule.shape_of`); seeds, learning rates, stopping rules
        and strengths of regularisers may differ. Each stops, returns to its best and goes on on its own.
    scans, device, on_epoch
        As of `train_network`.

    Returns
    -------
    list
        For each job what became of it: one that cannot be built, whose loss is not finite, or that does not
        even fit alone into the device's memory ends with its error, alone.

    Raises
    ------
    ConfigurationError
        If jobs of different shapes are to be a stack.
    DataError
        As of `train_network`.
    """
    for scan in scans:
        check_scan(scan)
    return _Trainer(scans, TrialStream(placed(scans, device)), device, on_epoch).train(jobs)


class _Trainer:
    """Trains jobs on the same data, as large stacks as the memory allows."""

    def __init__(
        self, scans: Sequence[ScanData], stream: TrialStream, device: str, on_epoch: OnEpoch | None
    ) -> None:
        self.scans, self.stream = scans, stream
        self.device = device
        self.on_epoch = on_epoch

    def train(self, jobs: Sequence[Job]) -> list[Trained | InceptionLoopError]:
        """Train them; where the memory runs out, one half after the other, each from its checkpoints."""
        try:
            return self._at_once(jobs)
        except torch.OutOfMemoryError:
            pass  # with this block ends what holds on to the stack's memory
        gc.collect()
        if torch.device(self.device).type == "cuda":
            torch.cuda.empty_cache()
        if len(jobs) == 1:
            return [self._too_large(jobs[0])]
        half = (len(jobs) + 1) // 2
        log.warning(
            "%s has no memory for a stack of %d models; expected enough; they go on as stacks of %d and %d",
            self.device,
            len(jobs),
            half,
            len(jobs) - half,
        )
        return [*self.train(jobs[:half]), *self.train(jobs[half:])]

    def _at_once(self, jobs: Sequence[Job]) -> list[Trained | InceptionLoopError]:
        built = [self._built(job) for job in jobs]
        members = [one for one in built if isinstance(one, Member)]
        _Training(members, self.stream, self.on_epoch).run()
        return [_result(one, len(members)) for one in built]

    def _built(self, job: Job) -> Member | InceptionLoopError:
        try:
            network = build_network(job.network, self.scans, job.train, job.seed, job.core).to(self.device)
        except InceptionLoopError as error:
            return error
        learner = Learner(network, job.train, job.seed, frozen_core=job.core is not None)
        return Member(learner, job.checkpoints)

    def _too_large(self, job: Job) -> InceptionLoopError:
        units = sum(scan.n_units for scan in self.scans)
        return InceptionLoopError(
            f"{self.device} has no memory for one network of {units} units "
            f"({canonical_json(job.network)}) in batches of {job.train.batch_size}; expected room for it; "
            "free memory, choose smaller batches or precision bfloat16, or another device"
        )


def _result(built: Member | InceptionLoopError, together: int) -> Trained | InceptionLoopError:
    if isinstance(built, InceptionLoopError):
        return built
    learner = built.learner
    found = learner.network.eval(), learner.stopping.best, learner.table()
    return learner.error or Trained(*found, together)


class _Training:
    """Epoch after epoch, as long as a learner has one to go."""

    def __init__(self, members: Sequence[Member], stream: TrialStream, on_epoch: OnEpoch | None) -> None:
        self.members = members
        self.stream = stream
        self.on_epoch = on_epoch
        self.keeper = Keeper()

    def run(self) -> None:
        with self.keeper:
            self._run()

    def _run(self) -> None:
        if (last := resume(self.members)) and self.on_epoch is not None:
            self.on_epoch(Epoch(last, math.nan, len(self.members), 0, resumed=True))
        for member in self.members:
            if not member.learner.history:
                self._after_epoch(Alone(member.learner, self.stream), [member], [math.nan])
        team: Alone | Stack | None = None
        at_work: list[Member] = []
        while active := [m for m in self.members if not (m.learner.finished or m.learner.error)]:
            if team is None or active != at_work:
                if team is not None:
                    team.disband()
                team, at_work = self._team(active), active
            for member in active:
                member.learner.epoch += 1
            self._after_epoch(team, active, team.epoch())
        if team is not None:
            team.disband()

    def _team(self, members: Sequence[Member]) -> Alone | Stack:
        learners = [member.learner for member in members]
        return Alone(learners[0], self.stream) if len(learners) == 1 else Stack(learners, self.stream)

    def _after_epoch(self, team: Alone | Stack, members: Sequence[Member], losses: Sequence[float]) -> None:
        values = team.evaluate()
        for member, loss, penalty, value in zip(members, losses, team.penalties(), values, strict=True):
            if member.learner.error is None:
                member.learner.record(loss, penalty, value)
        sound = [member for member in members if member.learner.error is None]
        self.keeper.keep(sound)
        if self.on_epoch is not None and sound:
            learners = [member.learner for member in sound]
            number = max(learner.epoch for learner in learners)
            images = self.stream.images(learners) if number else 0
            together = len(learners) if number else len(self.members)
            self.on_epoch(Epoch(number, float(np.nanmean(values)), together, images))

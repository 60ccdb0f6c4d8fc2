"""Training networks: stages of Adam with early stopping, deterministic from their seeds, resumable."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from inception_loop.errors import TrainingError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.network import Network
from inception_loop.training.alone import Alone
from inception_loop.training.building import Weights, build_network, check_scan
from inception_loop.training.checkpoints import Checkpoints, keep, resume
from inception_loop.training.config import TrainConfig
from inception_loop.training.learner import Learner
from inception_loop.training.scan_data import ScanData, placed
from inception_loop.training.stack import Stack
from inception_loop.training.trial_stream import TrialStream
from inception_loop.training.validation import validation_correlation

__all__ = [
    "Job",
    "OnEpoch",
    "Trained",
    "build_network",
    "train_network",
    "train_networks",
    "validation_correlation",
]

OnEpoch = Callable[[int, float], None]
"""Called with (epoch, validation correlation) after every epoch; of several networks, with their mean."""


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
        If a scan has fewer than 2 training or validation trials, or a response that is not finite.
    TrainingError
        If a loss or prediction is not finite; names epoch, seed and configuration.
    """
    job = Job(config, train, seed, core, checkpoints)
    (trained,) = train_networks([job], scans, device=device, on_epoch=on_epoch)
    if isinstance(trained, TrainingError):
        raise trained
    return trained


def train_networks(
    jobs: Sequence[Job],
    scans: Sequence[ScanData],
    *,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> list[Trained | TrainingError]:
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
        For each job what became of it: one whose loss is not finite ends with its error, alone.
    """
    for scan in scans:
        check_scan(scan)
    members = [
        Member(
            Learner(
                build_network(job.network, scans, job.train, job.seed, job.core).to(device),
                job.train,
                job.seed,
                frozen_core=job.core is not None,
            ),
            job.checkpoints,
        )
        for job in jobs
    ]
    _Training(members, TrialStream(placed(scans, device)), on_epoch).run()
    return [_result(member.learner) for member in members]


def _result(learner: Learner) -> Trained | TrainingError:
    return learner.error or Trained(learner.network.eval(), learner.stopping.best, learner.table())


class _Training:
    """Epoch after epoch, as long as a learner has one to go."""

    def __init__(self, members: Sequence[Member], stream: TrialStream, on_epoch: OnEpoch | None) -> None:
        self.members = members
        self.stream = stream
        self.on_epoch = on_epoch

    def run(self) -> None:
        resume(self.members)
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
        keep(sound)
        if self.on_epoch is not None and sound:
            self.on_epoch(max(m.learner.epoch for m in sound), float(np.nanmean(values)))

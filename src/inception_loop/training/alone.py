"""One network at work: an epoch of steps, and what it has come to."""

from __future__ import annotations

import math
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from inception_loop.errors import TrainingError
from inception_loop.training.learner import Learner
from inception_loop.training.objective import poisson_loss
from inception_loop.training.places import Places
from inception_loop.training.scan_data import Batch
from inception_loop.training.trial_stream import TrialStream
from inception_loop.training.validation import validation_correlation


class Alone:
    """One learner at work.

    Parameters
    ----------
    learner
        The learner.
    stream
        Its trials.
    """

    def __init__(self, learner: Learner, stream: TrialStream) -> None:
        self.learner = learner
        self.stream = stream

    def epoch(self) -> list[float]:
        """Make one pass over the training trials; return the mean Poisson loss of its batches.

        A loss that is not finite ends it: the learner has an error then.
        """
        self.learner.train_mode()
        losses = []
        with closing(self.stream.epoch([self.learner])) as batches:
            for step, (name, batch) in enumerate(batches):
                losses.append(self._step(step, name, batch))
                if self.learner.error is not None:
                    break
        return [float(np.mean(losses))]

    def _step(self, step: int, name: str, batch: Batch) -> float:
        learner, network = self.learner, self.learner.network
        noise = network.draw_noise(name, len(batch.images), learner.generator(step))
        noise = None if noise is None else noise.to(network.device)
        if Places(network, name)(batch.eye).isnan():
            learner.error = learner.failure(f"where the units of {name} look is not finite")
            return math.nan
        predicted: Tensor = network(batch.images, name, batch.eye, batch.behavior, noise=noise)
        loss = poisson_loss(predicted, batch.responses)
        value = loss.item()
        if not math.isfinite(value):
            learner.error = learner.failure(f"the loss of {name} is {value}")
            return value
        learner.optimizer.zero_grad()
        (loss + network.regularizer(name)).backward()  # type: ignore[no-untyped-call]
        learner.step()
        return value

    @torch.no_grad()
    def penalties(self) -> list[float]:
        """Return the penalty, mean over scans."""
        names = self.stream.scans
        return [sum(self.learner.network.regularizer(name).item() for name in names) / len(names)]

    def evaluate(self) -> list[float]:
        """Return the validation correlation; a prediction that is not finite gives the learner an error."""
        if self.learner.error is not None:
            return [math.nan]
        try:
            return [validation_correlation(self.learner.network, list(self.stream.scans.values()))]
        except TrainingError as error:
            self.learner.error = self.learner.failure(str(error))
            return [math.nan]

    def disband(self) -> None:
        """Do nothing: what the learner has is its own."""

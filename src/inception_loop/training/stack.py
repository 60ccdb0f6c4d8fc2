"""Several networks of the same shapes at work as one: each operation is done for all of them at once.

Parameters and running statistics of all members lie together; those of each network are views of them, so
that its own optimiser state, its regularisers and its project() act as if it were alone. Forward pass, loss
and gradients are one batched computation (`torch.func.vmap`). Members do not influence each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from inception_loop.errors import ConfigurationError
from inception_loop.network.network import Network
from inception_loop.training.learner import Learner
from inception_loop.training.objective import poisson_loss
from inception_loop.training.places import Places
from inception_loop.training.scan_data import PREDICTED_AT_ONCE, Batch, ScanData
from inception_loop.training.shapes import forward_of
from inception_loop.training.trial_stream import TrialStream
from inception_loop.training.validation import correlations

Tensors = dict[str, Tensor]


class Stack:
    """Learners at work together.

    Parameters
    ----------
    learners
        Of the same shapes and batches.
    stream
        Their trials.

    Raises
    ------
    ConfigurationError
        If their networks, batches or precisions differ.
    """

    def __init__(self, learners: Sequence[Learner], stream: TrialStream) -> None:
        _check(learners)
        self.learners = list(learners)
        self.stream = stream
        self.template = learners[0].network
        own = [_state_of(learner.network) for learner in learners]
        learnt = dict(self.template.named_parameters())
        self.parameters: Tensors = {}
        self.statistics: Tensors = {}
        for name in own[0]:
            together = torch.stack([state[name].detach() for state in own])
            for state, row in zip(own, together.unbind(), strict=True):
                state[name].data = row
            if name in learnt:
                self.parameters[name] = together.requires_grad_(learnt[name].requires_grad)
            else:
                self.statistics[name] = together

    # --- an epoch -------------------------------------------------------------------------------------------

    def epoch(self) -> list[float]:
        """Make one pass over the training trials; return each learner's mean Poisson loss of its batches.

        A learner whose loss is not finite makes no more steps: it has an error then.
        """
        for learner in self.learners:
            learner.train_mode()
        optimizer = self._optimizer()
        losses = []
        with closing(self.stream.epoch(self.learners)) as batches:
            for step, (name, batch) in enumerate(batches):
                losses.append(self._step(optimizer, step, name, batch))
        return [float(value) for value in np.mean(losses, 0)]

    def _step(self, optimizer: torch.optim.Optimizer, step: int, name: str, batch: Batch) -> list[float]:
        inputs = {key: self._each(value) for key, value in batch._asdict().items() if value is not None}
        noise = self._noise(name, step, inputs["images"].shape[1])
        if noise is not None:
            inputs["noise"] = noise
        self._end_where_places_are_none(name, inputs.get("eye"), each=True)

        def loss_of(parameters: Tensors, statistics: Tensors, given: Tensors) -> Tensor:
            return poisson_loss(self._predict(name, parameters, statistics, given), given["responses"])

        losses: Tensor = vmap(loss_of)(self.parameters, self.statistics, inputs)
        total = losses.sum() + self._penalty(name).sum()
        learnt = {key: value for key, value in self.parameters.items() if value.requires_grad}
        gradients = torch.autograd.grad(total, list(learnt.values()), allow_unused=True)
        values: list[float] = losses.tolist()
        self._note(name, values)
        self._hand_out(dict(zip(learnt, gradients, strict=True)))
        optimizer.step()
        for learner in self.learners:
            learner.network.project()
        return values

    def _predict(self, name: str, parameters: Tensors, statistics: Tensors, given: Tensors) -> Tensor:
        arguments = (given["images"], name, given.get("eye"), given.get("behavior"))
        state = {**parameters, **statistics}
        noise = {"noise": given.get("noise")}
        return cast(Tensor, functional_call(self.template, state, arguments, noise))

    @torch.no_grad()
    def _end_where_places_are_none(self, name: str, eye: Tensor | None, *, each: bool) -> None:
        """End a learner whose units look nowhere (see `Places`) before that is an error for all.

        Its weights, which go on through the computations of the others, become 0. The eye is (M, B, 2) if
        each has trials of its own.
        """
        module = Places(self.template, name)

        def of_one(parameters: Tensors, statistics: Tensors, eye: Tensor | None) -> Tensor:
            state = {f"network.{key}": value for key, value in (parameters | statistics).items()}
            return cast(Tensor, functional_call(module, state, (eye,)))

        mapped = 0 if each and eye is not None else None
        places: Tensor = vmap(of_one, in_dims=(0, 0, mapped))(self.parameters, self.statistics, eye)
        for learner, wrong in zip(self.learners, places.isnan().tolist(), strict=True):
            if wrong:
                what = f"where the units of {name} look is not finite"
                learner.error = learner.error or learner.failure(what)
                for parameter in learner.network.parameters():
                    parameter.zero_()

    def _note(self, name: str, losses: Sequence[float]) -> None:
        for learner, value in zip(self.learners, losses, strict=True):
            if learner.error is None and not math.isfinite(value):
                learner.error = learner.failure(f"the loss of {name} is {value}")

    def _hand_out(self, gradients: dict[str, Tensor | None]) -> None:
        """Give each network its gradients; none to those that a step does not concern."""
        rows = {name: None if g is None else g.unbind() for name, g in gradients.items()}
        for index, learner in enumerate(self.learners):
            for name, parameter in learner.network.named_parameters():
                row = rows.get(name)
                parameter.grad = None if row is None or learner.error is not None else row[index]

    def _optimizer(self) -> torch.optim.Adam:
        """One Adam over all learners, which shares the moments with each one's own: fewer, larger steps."""
        groups: dict[float, list[Any]] = {}
        for learner in self.learners:
            for group in learner.optimizer.param_groups:
                groups.setdefault(group["lr"], []).extend(group["params"])
        fused = self.learners[0].optimizer.defaults["fused"]
        together = torch.optim.Adam([{"params": p, "lr": rate} for rate, p in groups.items()], fused=fused)
        for learner in self.learners:
            for group in learner.optimizer.param_groups:
                for parameter in group["params"]:
                    together.state[parameter] = learner.optimizer.state[parameter]
        return together

    def _noise(self, name: str, step: int, size: int) -> Tensor | None:
        drawn = [learner.network.draw_noise(name, size, learner.generator(step)) for learner in self.learners]
        given = [noise for noise in drawn if noise is not None]
        return torch.stack(given).to(self.template.device) if given else None

    def _each(self, values: Tensor) -> Tensor:
        """(M·B, …) → (M, B, …)."""
        return values.view(len(self.learners), -1, *values.shape[1:])

    # --- what they have come to -----------------------------------------------------------------------------

    @torch.no_grad()
    def penalties(self) -> list[float]:
        """Return each learner's penalty, mean over scans."""
        each = torch.stack([self._penalty(name) for name in self.stream.scans])
        return each.mean(0).tolist()

    def _penalty(self, name: str) -> Tensor:
        """(M,) penalties; members of one configuration are penalised together."""
        parts = []
        for network, start, stop in self._alike():
            rows = {key: value[start:stop] for key, value in self.parameters.items()}
            parts.append(vmap(_regularizer_of(network, name))(rows))
        return torch.cat(parts)

    def _alike(self) -> Iterator[tuple[Network, int, int]]:
        start = 0
        for _, same in groupby(self.learners, key=lambda learner: learner.network.config):
            members = list(same)
            yield members[0].network, start, start + len(members)
            start += len(members)

    def evaluate(self) -> list[float]:
        """Return each learner's validation correlation; predictions that are not finite give one an error."""
        units: list[list[npt.NDArray[np.float64]]] = [[] for _ in self.learners]
        for name, scan in self.stream.scans.items():
            every = self.predict(scan, scan.rows("validation"))
            for own, learner, predicted in zip(units, self.learners, every, strict=True):
                if learner.error is None and not np.isfinite(predicted).all():
                    learner.error = learner.failure(f"a prediction for {name} is not finite")
                if learner.error is None:
                    own.append(correlations(predicted, scan))
        return [
            math.nan if learner.error is not None else float(np.concatenate(own).mean())
            for own, learner in zip(units, self.learners, strict=True)
        ]

    @torch.no_grad()
    def predict(self, scan: ScanData, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Predict trials with their recorded eye position and behaviour: (M, len(rows), N)."""
        self.template.eval()

        def predicted(parameters: Tensors, statistics: Tensors) -> Tensor:
            return self._predict(scan.name, parameters, statistics, inputs)

        parts = []
        at_once = max(PREDICTED_AT_ONCE // len(self.learners), 1)
        for start in range(0, len(rows), at_once):
            batch = scan.batch(rows[start : start + at_once])
            inputs = {key: value for key, value in batch._asdict().items() if value is not None}
            self._end_where_places_are_none(scan.name, batch.eye, each=False)
            parts.append(vmap(predicted)(self.parameters, self.statistics).cpu().numpy())
        return np.concatenate(parts, 1)

    def disband(self) -> None:
        """Give every network memory of its own again."""
        for learner in self.learners:
            for value in _state_of(learner.network).values():
                value.data = value.data.clone()
            for parameter in learner.network.parameters():
                parameter.grad = None


def _state_of(network: Network) -> Tensors:
    """Parameters and running statistics themselves, by name."""
    named = dict(network.named_parameters()) | dict(network.named_buffers())
    return {name: named[name] for name in network.state_dict()}


def _regularizer_of(network: Network, key: str) -> Callable[[Tensors], Tensor]:
    def regularizer(parameters: Tensors) -> Tensor:
        state = {f"network.{name}": value for name, value in parameters.items()}
        return cast(Tensor, functional_call(_Penalty(network, key), state, ()))

    return regularizer


class _Penalty(torch.nn.Module):
    """A network whose output is its penalty."""

    def __init__(self, network: Network, key: str) -> None:
        super().__init__()
        self.network = network
        self.key = key

    def forward(self) -> Tensor:
        """Return the penalty of a batch of the scan."""
        return self.network.regularizer(self.key)


def _check(learners: Sequence[Learner]) -> None:
    first = learners[0]
    for learner in learners[1:]:
        same = (
            learner.config.batch_size == first.config.batch_size
            and learner.config.round_robin == first.config.round_robin
            and learner.network.precision == first.network.precision
            and learner.frozen_core == first.frozen_core
            and forward_of(learner.network.config) == forward_of(first.network.config)
        )
        if not same:
            raise ConfigurationError(
                f"a stack was to hold {first.network.config!r} and {learner.network.config!r}; expected "
                "networks that differ in seeds and strengths of regularisers only, in equal batches; "
                "train them apart"
            )

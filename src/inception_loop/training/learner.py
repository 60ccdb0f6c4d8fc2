"""One network while it learns: everything that goes from one epoch to the next, as plain arrays too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor, nn

from inception_loop.artifacts.identity import canonical_json
from inception_loop.errors import ConfigurationError, TrainingError
from inception_loop.network.network import Network
from inception_loop.training.config import TrainConfig
from inception_loop.training.early_stopping import EarlyStopping

State = Mapping[str, npt.NDArray[Any]]
"""A learner between two epochs, as arrays by name."""

HISTORY: Mapping[str, type[pl.DataType]] = {
    "epoch": pl.Int64,
    "stage": pl.Int64,
    "learning_rate": pl.Float64,
    "train_loss": pl.Float64,
    "regularizer": pl.Float64,
    "val_corr": pl.Float64,
    "best": pl.Boolean,
}


class Learner:
    """A network with its optimiser, its stage of training and the best that it was.

    Whoever trains it calls `record` once untrained, then after the steps of every epoch. Stages
    are its own affair: after the last epoch of one it returns to its best weights and begins the next with
    a new optimiser.

    Parameters
    ----------
    network
        On the device that it is trained on.
    config
        Learning rates and stopping rule.
    seed
        Of the order of the trials.
    frozen_core
        Leave the core as it is, the running statistics of its batch norm included.

    Attributes
    ----------
    epoch : epochs trained so far
    stage : which of the learning rates; their number once it is `finished`
    best : weights at the highest objective, by name
    history : a row an epoch, in the order of `HISTORY`
    error : why it can go on no more, None as long as it can
    """

    def __init__(
        self, network: Network, config: TrainConfig, seed: int, *, frozen_core: bool = False
    ) -> None:
        self.network = network
        self.config = config
        self.seed = seed
        self.frozen_core = frozen_core
        if frozen_core:
            network.core.requires_grad_(False)
        self.stopping = EarlyStopping(config.patience, config.tolerance)
        self.best: dict[str, Tensor] = {}
        self.history: list[tuple[Any, ...]] = []
        self.epoch = self.stage = self.began = 0
        self.error: TrainingError | None = None
        self.optimizer = self._adam()

    @property
    def finished(self) -> bool:
        """Whether the last stage is over."""
        return self.stage == len(self.config.learning_rates)

    @property
    def rate(self) -> float:
        """Learning rate of the stage."""
        return self.config.learning_rates[self.stage]

    def train_mode(self) -> None:
        """Let batch norm use and follow the statistics of the batches, save in a frozen core."""
        self.network.train()
        if self.frozen_core:
            self.network.core.eval()

    def step(self) -> None:
        """Follow the gradients that the network's parameters hold."""
        self.optimizer.step()
        self.network.project()

    def generator(self, step: int) -> torch.Generator:
        """Source of what is random in a step of the current epoch; the same however often it is asked for."""
        seed = np.random.SeedSequence([self.seed, self.epoch, step]).generate_state(1)[0]
        return torch.Generator().manual_seed(int(seed))

    def record(self, loss: float, penalty: float, value: float) -> None:
        """Take the loss, penalty and objective of the epoch that ended; begin the next stage if it is due."""
        improved = self.stopping.improves(value)
        if improved:
            self.best = {name: v.detach().clone() for name, v in self.network.state_dict().items()}
        self.history.append((self.epoch, self.stage, self.rate, loss, penalty, value, improved))
        while not self.finished and self._stage_is_over():
            self.network.load_state_dict(self.best)
            self.stage += 1
            if not self.finished:
                self.stopping.renew()
                self.began = self.epoch
                self.optimizer = self._adam()

    def table(self) -> pl.DataFrame:
        """History so far: one row an epoch."""
        return pl.DataFrame(self.history, schema=HISTORY, orient="row")

    def failure(self, what: str) -> TrainingError:
        """Say what went wrong in which epoch of which training: what is not the default, and the seed."""
        return TrainingError(
            f"{what} in epoch {self.epoch} (seed {self.seed}, network {canonical_json(self.network.config)}, "
            f"train {canonical_json(self.config)}); expected finite numbers; lower the learning rates"
        )

    # --- from one process to another ------------------------------------------------------------------------

    def state(self, *, copy: bool = False) -> dict[str, npt.NDArray[Any]]:
        """Everything that the next epochs depend on, and the past; arrays may be views unless copied."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for index, parameter in enumerate(self._parameters()):
            moments = self.optimizer.state[parameter]
            tensors |= {f"adam.{index}.{name}": value for name, value in moments.items()}
        return {
            **{name: value.detach().to("cpu", copy=copy).numpy() for name, value in tensors.items()},
            "history": np.array(self.history, np.float64),
            "course": np.array([self.epoch, self.stage, self.began, self.stopping.waited], np.int64),
            "objective": np.array(self.stopping.best, np.float64),
        }

    def restore(self, state: State) -> None:
        """Go on from where a learner of the same network and training was.

        Raises
        ------
        ConfigurationError
            If it was one of another network; nothing is changed then.
        """
        self._check(state)
        self.epoch, self.stage, self.began, self.stopping.waited = map(int, state["course"])
        self.stopping.best = float(state["objective"])
        self.history = [
            (int(epoch), int(stage), rate, loss, penalty, value, bool(best))
            for epoch, stage, rate, loss, penalty, value, best in state["history"].tolist()
        ]
        own = self.network.state_dict()
        self.best = {name: _copied(state[f"best.{name}"], like=value) for name, value in own.items()}
        self.network.load_state_dict({name: torch.tensor(state[f"network.{name}"]) for name in own})
        if not self.finished:
            self.optimizer = self._adam()
            self._restore_moments(state)

    def _restore_moments(self, state: State) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name in state:
            if name.startswith("adam."):
                _, index, key = name.split(".")
                moments.setdefault(int(index), {})[key] = torch.tensor(state[name])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def _check(self, state: State) -> None:
        own = self.network.state_dict()
        for part in ("network", "best"):
            for name, value in own.items():
                found = state.get(f"{part}.{name}")
                if found is None or found.shape != tuple(value.shape):
                    raise ConfigurationError(
                        f"a checkpoint has {part}.{name} of shape {None if found is None else found.shape}; "
                        f"expected {tuple(value.shape)}; it was written by another network"
                    )

    # --- stages ---------------------------------------------------------------------------------------------

    def _stage_is_over(self) -> bool:
        most = self.config.max_epoch
        if self.config.stage_epochs is not None:
            most = min(most, self.began + self.config.stage_epochs[self.stage])
        return self.stopping.exhausted or self.epoch >= most

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _adam(self) -> torch.optim.Adam:
        """Adam at the rate of the stage; where units look has a rate of its own."""
        readouts = [self.network.readout(key) for key in self.network.readouts]
        places = {id(p) for readout in readouts for p in readout.place_parameters()}
        learnt = [p for p in self.network.parameters() if p.requires_grad]
        others = [p for p in learnt if id(p) not in places]
        apart = [p for p in learnt if id(p) in places]
        groups = [
            {"params": others, "lr": self.rate},
            {"params": apart, "lr": self.rate * self.config.position_rate},
        ]
        fused = True if self.network.device.type == "cuda" else None
        return torch.optim.Adam(groups, lr=self.rate, fused=fused)


def _copied(array: npt.NDArray[Any], like: Tensor) -> Tensor:
    return torch.empty_like(like).copy_(torch.tensor(array))

"""The untrained network of a seed, and what is refused before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.errors import ConfigurationError, DataError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.network import Network
from inception_loop.training.config import TrainConfig
from inception_loop.training.scan_data import ScanData, check_inputs
from inception_loop.training.starting_positions import start_at_responses

log = logging.getLogger(__name__)
Weights = Mapping[str, npt.NDArray[Any]]
"""Parameters and running statistics by name."""

UNITS_AT_ONCE = 512
"""Units whose responses are looked at together, so that no copy of all of them is made."""


def build_network(
    config: CorePlusReadout,
    scans: Sequence[ScanData],
    train: TrainConfig,
    seed: int,
    core: Weights | None = None,
) -> Network:
    """Make the untrained network of a seed, its readout biases at the mean training responses.

    Parameters
    ----------
    config, scans, train, seed
        As of `train_network`.
    core
        Weights of a trained core to begin with, by their names in the core.

    Raises
    ------
    ConfigurationError
        If the scans do not fit the network (eye, behaviour, image size, units), or the weights the core.
    """
    check_names([scan.name for scan in scans])
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
    if core is not None:
        load_weights(network.core, core, "the trained core")
    for scan in scans:
        network.start_at_mean(scan.name, _mean(scan.responses, torch.from_numpy(scan.rows("train"))))
        if train.start_positions == "responses":
            start_at_responses(network, scan)
    return network


def load_weights(module: torch.nn.Module, weights: Weights, where: str) -> None:
    """Copy weights by name into a network, or a part of one.

    Raises
    ------
    ConfigurationError
        If a name is missing or unknown, or a shape differs.
    """
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(expected.keys() | given.keys()):
        if expected.get(name) != given.get(name):
            raise ConfigurationError(
                f"{where} has {name} of shape {given.get(name)}; expected {expected.get(name)}; "
                "load the weights with the configuration that they were trained with"
            )
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})


def check_names(names: Sequence[str]) -> None:
    """Refuse names that are no readout keys.

    Raises
    ------
    ConfigurationError
        If two scans have one name, or torch takes one for something else.
    """
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"{names.count(name)} scans are called {name!r}; expected a name for each"
            )
        if not name or "." in name or hasattr(torch.nn.ModuleDict(), name):
            raise ConfigurationError(
                f"a scan is called {name!r}, which torch cannot name weights after; expected a name that is "
                "not empty, without a dot, and none of torch's own ('keys', 'train', …); call it otherwise"
            )


def check_scan(scan: ScanData) -> None:
    """Refuse a scan that nothing can be learnt from; say which units answer always the same.

    Raises
    ------
    DataError
        If it has fewer than 2 training or validation trials, or an image, eye position, behaviour or response
        that is not finite.
    """
    for tier in ("train", "validation"):
        if len(scan.rows(tier)) < 2:
            raise DataError(
                f"{scan.name} has {len(scan.rows(tier))} trials of tier {tier}; expected at least 2"
            )
    _check_finite(scan)
    parts = torch.split(scan.responses, UNITS_AT_ONCE, dim=1)
    bad = ~torch.cat([torch.isfinite(part).all(0) for part in parts])
    if bad.any():
        unit = int(bad.nonzero()[0])
        raise DataError(f"{scan.name} has responses of neuron {unit} that are not finite; leave it out")
    constant = constant_units(scan)
    if constant:
        log.warning(
            "%s has %d units whose response to every training trial is the same (the first is neuron %d); "
            "expected units that answer; they count as 0 in the validation correlation; leave them out",
            scan.name,
            len(constant),
            constant[0],
        )


def _check_finite(scan: ScanData) -> None:
    images = ~torch.isfinite(scan.images.flatten(1).sum(1, dtype=torch.float64))  # makes no copy of them
    wrong = {"an image": torch.isin(scan.image_row, images.nonzero()[:, 0])}
    for what, values in (("an eye position", scan.eye), ("behaviour", scan.behavior)):
        if values is not None:
            wrong[what] = ~torch.isfinite(values).all(1)
    for what, trials in wrong.items():
        if trials.any():
            raise DataError(
                f"{scan.name} has {what} that is not finite in {int(trials.sum())} trials, first in trial "
                f"{int(trials.nonzero()[0])}; expected finite numbers; leave those trials out"
            )


def constant_units(scan: ScanData) -> list[int]:
    """Columns of the units with the same response in all training trials."""
    trials = torch.from_numpy(scan.rows("train"))
    parts = [part.index_select(0, trials) for part in torch.split(scan.responses.cpu(), UNITS_AT_ONCE, dim=1)]
    constant = torch.cat([part.amax(0) == part.amin(0) for part in parts])
    return constant.nonzero()[:, 0].tolist()


def _mean(responses: Tensor, trials: Tensor) -> Tensor:
    """Mean over some trials in float64, some units at a time."""
    parts = torch.split(responses, UNITS_AT_ONCE, dim=1)
    return torch.cat([part.index_select(0, trials).double().mean(0) for part in parts]).float()

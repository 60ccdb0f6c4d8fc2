"""The data of one scan as tensors, normalised, ready for batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import MemberData
from inception_loop.dataset.normalization import normalize
from inception_loop.errors import ConfigurationError, TrainingError
from inception_loop.network.config import CorePlusReadout, NoModulator, NoShifter
from inception_loop.network.network import Network

Rows = npt.NDArray[np.int64]
PREDICTED_AT_ONCE = 128


class Batch(NamedTuple):
    """Some trials: images (B, 1, H, W), eye (B, 2), behavior (B, 3) and responses (B, N)."""

    images: Tensor
    eye: Tensor | None
    behavior: Tensor | None
    responses: Tensor


@dataclass(frozen=True)
class ScanData:
    """One scan's used trials, normalised.

    Attributes
    ----------
    name : readout key
    images : (K, 1, H, W) float32
    image_row : (T,) int64, image of each trial
    responses : (T, N) float32, in units of each unit's training s.d. (as the data config says)
    eye : (T, 2) float32 normalised pupil centre, None where not recorded
    behavior : (T, 3) float32 normalised pupil, its derivative and running, None where not recorded
    tier : (T,) train, validation or test
    """

    name: str
    images: Tensor
    image_row: Tensor
    responses: Tensor
    eye: Tensor | None
    behavior: Tensor | None
    tier: npt.NDArray[np.str_]

    @property
    def n_units(self) -> int:
        """Units that are read out."""
        return self.responses.shape[1]

    def rows(self, tier: str) -> Rows:
        """Trials of a tier."""
        return np.flatnonzero(self.tier == tier)

    def batch(self, rows: Rows) -> Batch:
        """Gather some trials."""
        index = torch.from_numpy(rows).to(self.image_row.device)
        eye, behavior = (None if v is None else v[index] for v in (self.eye, self.behavior))
        return Batch(self.images[self.image_row[index]], eye, behavior, self.responses[index])

    def to(self, device: str) -> ScanData:
        """Copy to a device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return ScanData(**{**vars(self), **tensors})


def scan_data(member: MemberData, data: CorrectedAreaLayer) -> ScanData:
    """Normalise a member (restricted to the units of ``data``) and turn it into tensors."""
    values = normalize(member, data)
    return ScanData(
        name=member.name,
        images=torch.from_numpy(values.images)[:, None],
        image_row=torch.from_numpy(np.array(member.frame_row, np.int64)),
        responses=torch.from_numpy(values.responses),
        eye=None if values.pupil_center is None else torch.from_numpy(values.pupil_center),
        behavior=None if values.behavior is None else torch.from_numpy(values.behavior),
        tier=member.tier,
    )


def check_inputs(network: CorePlusReadout, scan: ScanData) -> None:
    """Refuse a network that wants an eye position or behaviour that a scan does not have.

    Raises
    ------
    ConfigurationError
        Naming the scan, the part and the choice that does without.
    """
    wanted = (
        ("shifter", "eye position", scan.eye, isinstance(network.shifter, NoShifter)),
        ("modulator", "behaviour", scan.behavior, isinstance(network.modulator, NoModulator)),
    )
    for part, what, values, without in wanted:
        if values is None and not without:
            raise ConfigurationError(
                f"{scan.name} was recorded without {what}, but the network has a {part}; "
                f"expected {part} type 'No' for such a group"
            )


@torch.no_grad()
def predict(network: Network, scan: ScanData, rows: Rows) -> npt.NDArray[np.float32]:
    """Predict trials with their recorded eye position and behaviour.

    Parameters
    ----------
    network
        Put into evaluation mode for it, and back.
    scan, rows
        The trials.

    Returns
    -------
    ndarray
        (len(rows), N) float32, in the unit of ``scan.responses``.

    Raises
    ------
    TrainingError
        If a prediction is not finite.
    """
    training = network.training
    network.eval()
    parts = [np.empty((0, scan.n_units), np.float32)]
    for start in range(0, len(rows), PREDICTED_AT_ONCE):
        batch = scan.batch(rows[start : start + PREDICTED_AT_ONCE])
        parts.append(network(batch.images, scan.name, batch.eye, batch.behavior).cpu().numpy())
    network.train(training)
    out = np.concatenate(parts)
    if not np.isfinite(out).all():
        raise TrainingError(f"a prediction for {scan.name} is not finite")
    return out

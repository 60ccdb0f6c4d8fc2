"""The data of one scan as tensors, normalised, ready for batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.dataset.config import CorrectedAreaLayer
from inception_loop.dataset.member import MemberData, load_member
from inception_loop.dataset.normalization import Normaliser, normaliser, normalize
from inception_loop.errors import ConfigurationError, TrainingError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.modulators import NoModulator
from inception_loop.network.network import Network
from inception_loop.network.readouts import FullGaussian2d
from inception_loop.network.readouts.grid_predictor import known_places
from inception_loop.network.shifters import NoShifter
from inception_loop.training.modes import Mode, held, told
from inception_loop.training.places import Places

Rows = npt.NDArray[np.int64]
PREDICTED_AT_ONCE = 128
PREFETCHED_FROM = 2**20
"""Bytes of a batch that take longer to gather (0.1 ms) than a thread takes to hand them over (0.04 ms)."""
SHARE_OF_GPU = 0.5
"""Of its free memory that data may take; the rest is the network's."""


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
    cortex : (N, 2) float32 places of the units in the cortex (x, y), µm, NaN where unknown; None: not given
    batches_on : device that batches are sent to, None where they stay with the tensors
    """

    name: str
    images: Tensor
    image_row: Tensor
    responses: Tensor
    eye: Tensor | None
    behavior: Tensor | None
    tier: npt.NDArray[np.str_]
    cortex: Tensor | None = None
    batches_on: str | None = None

    @property
    def n_units(self) -> int:
        """Units that are read out."""
        return self.responses.shape[1]

    def rows(self, tier: str) -> Rows:
        """Trials of a tier."""
        return np.flatnonzero(self.tier == tier)

    def training_means(self) -> tuple[list[float] | None, list[float] | None]:
        """Training means of the normalised eye centre (2) and behaviour (3); None: not recorded."""
        trials = torch.from_numpy(self.rows("train"))
        eye, behavior = (
            None if v is None else v.cpu()[trials].double().mean(0).tolist()
            for v in (self.eye, self.behavior)
        )
        return eye, behavior

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, Tensor))

    def batch(self, rows: Rows) -> Batch:
        """Gather some trials: one copy of each part."""
        index = torch.from_numpy(rows).to(self.image_row.device)
        image = self.image_row.index_select(0, index)
        eye, behavior = (None if v is None else self._gathered(v, index) for v in (self.eye, self.behavior))
        return Batch(self._gathered(self.images, image), eye, behavior, self._gathered(self.responses, index))

    def _gathered(self, values: Tensor, index: Tensor) -> Tensor:
        if self.batches_on is None:
            return values.index_select(0, index)
        # From pinned memory a GPU fetches on its own. The allocator waits for it before it uses that again.
        pinned = torch.device(self.batches_on).type == "cuda"
        out = torch.empty((len(index), *values.shape[1:]), dtype=values.dtype, pin_memory=pinned)
        return torch.index_select(values, 0, index, out=out).to(self.batches_on, non_blocking=True)

    def to(self, device: str) -> ScanData:
        """Copy to a device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return ScanData(**{**vars(self), **tensors, "batches_on": None})

    def batches_to(self, device: str) -> ScanData:
        """Stay in this machine's memory and send each batch to a device."""
        return replace(self, batches_on=device)

    def prefetch_pays(self, batch_size: int) -> bool:
        """Tell whether a thread should prepare batches of a size: not of small ones, nor on a GPU."""
        gathered = [v for v in (self.images, self.eye, self.behavior, self.responses) if v is not None]
        size = batch_size * sum(value[0].nbytes for value in gathered)
        return self.images.device.type == "cpu" and size >= PREFETCHED_FROM


def placed(scans: Sequence[ScanData], device: str) -> list[ScanData]:
    """Copy scans to a device; where a GPU has no room for all of them, let each send its batches instead."""
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if sum(scan.nbytes for scan in scans) > SHARE_OF_GPU * free:
            return [scan.batches_to(device) for scan in scans]
    return [scan.to(device) for scan in scans]


def load_scan(
    store: ArtifactStore, dataset: ArtifactRef, name: str, data: CorrectedAreaLayer
) -> tuple[ScanData, Normaliser]:
    """Load a member of a dataset as a network sees it, and what normalised it.

    Only the responses of the wanted units to the used trials are in memory, once.

    Raises
    ------
    DataError
        As `load_member`.
    """
    member = load_member(store, dataset, name, data)
    return scan_data(member, data, overwrite=True), normaliser(member.statistics, data)


def scan_data(member: MemberData, data: CorrectedAreaLayer, *, overwrite: bool = False) -> ScanData:
    """Normalise a member (restricted to the units of ``data``) and turn it into tensors.

    With ``overwrite`` the member's responses make room for the normalised ones, see `normalize`.
    """
    values = normalize(member, data, overwrite=overwrite)
    return ScanData(
        name=member.name,
        images=torch.from_numpy(values.images)[:, None],
        image_row=torch.from_numpy(np.array(member.frame_row, np.int64)),
        responses=torch.from_numpy(values.responses),
        eye=None if values.pupil_center is None else torch.from_numpy(values.pupil_center),
        behavior=None if values.behavior is None else torch.from_numpy(values.behavior),
        tier=member.tier,
        cortex=torch.from_numpy(member.units.select("um_x", "um_y").to_numpy().astype(np.float32)),
    )


def check_inputs(network: CorePlusReadout, scan: ScanData) -> None:
    """Refuse a network that wants an eye position, behaviour or places that a scan does not have.

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
    if isinstance(network.readout, FullGaussian2d) and network.readout.grid_predictor is not None:
        known_places(scan.cortex, scan.n_units, scan.name)


@torch.no_grad()
def predict(
    network: Network, scan: ScanData, rows: Rows, *, eye: Mode = "recorded", behavior: Mode = "recorded"
) -> npt.NDArray[np.float32]:
    """Predict trials, by default with their recorded eye position and behaviour.

    Parameters
    ----------
    network
        Put into evaluation mode for it, and back.
    scan, rows
        The trials.
    eye, behavior
        What the network is told of them; the training mean is that of ``scan``.

    Returns
    -------
    ndarray
        (len(rows), N) float32, in the unit of ``scan.responses``.

    Raises
    ------
    TrainingError
        If a prediction, or where a unit looks, is not finite.
    """
    training = network.training
    network.eval()
    parts = [np.empty((0, scan.n_units), np.float32)]
    eye_mean, behavior_mean = scan.training_means() if "training_mean" in (eye, behavior) else (None, None)
    for start in range(0, len(rows), PREDICTED_AT_ONCE):
        images, own_eye, own_behavior, _ = scan.batch(rows[start : start + PREDICTED_AT_ONCE])
        seen = told(eye, held(eye, eye_mean, images.device), own_eye, len(images))
        state = told(behavior, held(behavior, behavior_mean, images.device), own_behavior, len(images))
        if Places(network, scan.name)(seen).isnan():
            network.train(training)
            raise TrainingError(f"where the units of {scan.name} look is not finite")
        parts.append(network(images, scan.name, seen, state).cpu().numpy())
    network.train(training)
    out = np.concatenate(parts)
    if not np.isfinite(out).all():
        raise TrainingError(f"a prediction for {scan.name} is not finite")
    return out

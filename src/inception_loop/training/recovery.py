"""What a network has recovered of an animal whose truth is known: plain functions of arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from inception_loop.errors import DataError
from inception_loop.network.network import Network
from inception_loop.training.scores import Doubles, Floats, pearson


def ceiling_fraction(predicted: Floats, observed: Floats, expected: Floats) -> Doubles:
    """Single-trial correlation over its ceiling, unit by unit.

    The ceiling is the correlation of the responses with their true conditional mean given image, eye and
    behaviour, on the same trials.

    Parameters
    ----------
    predicted, observed, expected
        (T, N) prediction, response and conditional mean.

    Returns
    -------
    ndarray
        (N,); NaN where a unit has no positive ceiling.

    Examples
    --------
    >>> y = np.array([[1.0], [2.0], [4.0]])
    >>> ceiling_fraction(2 * y, y, y).tolist()
    [1.0]
    """
    ceiling = pearson(expected, observed)
    return np.asarray(pearson(predicted, observed) / np.where(ceiling > 0, ceiling, np.nan), np.float64)


@torch.no_grad()
def receptive_field_centers(network: Network, key: str, eye: tuple[float, float] | None) -> Doubles:
    """Where each unit looks in the image.

    The learnt position, moved by the shift of an eye position, from the core's map to image pixels: pixel
    (0, 0) of the map stands half a kernel inside the image, because the first layer is not padded.

    Parameters
    ----------
    network
        Trained.
    key
        Readout key.
    eye
        (x, y) normalised eye centre (its training mean: the eye looks where it mostly looks); None: no shift.

    Returns
    -------
    ndarray
        (N, 2) x and y in px of the image; (0, 0) is the centre of the upper left pixel.
    """
    position = network.readout(key).centers().double().cpu()
    if eye is not None:
        shift = network.shift(key, torch.tensor([eye], device=network.device))
        position = position + (0 if shift is None else shift.double().cpu())
    return map_to_pixels(network, (position + 1) / 2)


def map_to_pixels(network: Network, share: torch.Tensor) -> Doubles:
    """Turn (…, 2) shares of the core's map (x, y in 0..1) into image px."""
    height, width = network.core.map_size(network.image_size)
    side = torch.tensor([width - 1, height - 1], dtype=torch.float64)
    return np.asarray((share * side).numpy() + network.core.margin, np.float64)


class CenterError(NamedTuple):
    """Distances of learnt from true receptive-field centres.

    Attributes
    ----------
    distance : (N,) px, as they are
    offset : (2,) px, median over units of learnt - true: the part that all units share
    centred : (N,) px, with the offset taken off
    """

    distance: Doubles
    offset: Doubles
    centred: Doubles


def center_error(learnt: Floats, true: Floats) -> CenterError:
    """Compare learnt with true receptive-field centres.

    A core whose filters all stand off their kernels' centre, with all positions moved the other way, is the
    same network; that common offset is therefore given apart.

    Parameters
    ----------
    learnt, true
        (N, 2) px.

    Examples
    --------
    >>> center_error(np.array([[3.0, 4.0]]), np.zeros((1, 2))).distance.tolist()
    [5.0]
    """
    if learnt.shape != true.shape or learnt.ndim != 2 or not len(learnt):
        raise DataError(f"centres have shapes {learnt.shape} and {true.shape}; expected the same (units, 2)")
    difference = np.asarray(learnt, np.float64) - true
    offset = np.median(difference, axis=0)
    return CenterError(
        np.linalg.norm(difference, axis=1), offset, np.linalg.norm(difference - offset, axis=1)
    )


@torch.no_grad()
def learnt_shift(network: Network, key: str, eye: npt.NDArray[np.float32]) -> Doubles:
    """Shift of all receptive fields in image px, (T, 2) x and y, for normalised eye centres (T, 2)."""
    shift = network.shift(key, torch.from_numpy(eye).to(network.device))
    if shift is None:
        raise DataError(f"the network has no shifter for {key}; expected one to compare its shifts")
    height, width = network.core.map_size(network.image_size)
    return np.asarray(shift.double().cpu().numpy() * [(width - 1) / 2, (height - 1) / 2], np.float64)


@torch.no_grad()
def learnt_log_gain(network: Network, key: str, behavior: npt.NDArray[np.float32]) -> Doubles:
    """Natural logarithm of each unit's gain, (T, N), for normalised behaviour (T, 3)."""
    gain = network.gain(key, torch.from_numpy(behavior).to(network.device))
    if gain is None:
        raise DataError(f"the network has no modulator for {key}; expected one to compare its gains")
    return np.asarray(torch.log(gain.double()).cpu().numpy(), np.float64)


def log_gain_correlation(learnt: Floats, true_gain: Floats) -> Doubles:
    """Correlation over trials of learnt and true log gain, unit by unit: (T, N), (T, N) → (N,)."""
    return pearson(learnt, np.log(np.asarray(true_gain, np.float64)))

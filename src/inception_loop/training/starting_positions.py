"""Where units look, estimated from their responses before anything is trained.

A readout position that starts far from its unit's receptive field finds it slowly or never, because a
gradient reaches only as far as the pyramid is wide. Where local luminance or local contrast of the images
correlates with a unit's responses, its receptive field is not far.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from inception_loop.network.network import Network
from inception_loop.training.scan_data import ScanData

FINE, COARSE = 1.5, 3.0
"""S.d. of the two Gaussians whose difference is local luminance, px."""
POOL = 2.5
"""S.d. of the Gaussian over which its square, the local contrast, is averaged, px."""
SMOOTH = 3.0
"""S.d. of the Gaussian that smooths the evidence, px."""


def estimate_positions(images: Tensor, responses: Tensor) -> Tensor:
    """Estimate receptive-field centres as the peak of the squared correlation with local image features.

    The features are local luminance (a difference of Gaussians, for simple cells) and local contrast (its
    square, pooled, for complex ones); their squared correlations are added, smoothed and searched.

    Parameters
    ----------
    images
        (T, 1, H, W) what was shown in each trial.
    responses
        (T, N).

    Returns
    -------
    Tensor
        (N, 2) x and y, px of the image; whole numbers.
    """
    local = blur(images, FINE) - blur(images, COARSE)
    target = _standardised(responses)
    evidence = torch.zeros(responses.shape[1], *images.shape[2:], device=images.device)
    for feature in (local, blur(local.square(), POOL)):
        correlation = target.T @ _standardised(feature.flatten(1)) / len(target)
        evidence += correlation.view_as(evidence).square()
    peak = blur(evidence[:, None], SMOOTH).flatten(1).argmax(1)
    width = images.shape[3]
    return torch.stack((peak % width, peak // width), 1)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Blur (B, 1, H, W) with a Gaussian of s.d. ``sigma`` px; the border's value continues beyond it.

    Examples
    --------
    >>> blur(torch.full((1, 1, 3, 4), 2.0), 1.5).unique()
    tensor([2.])
    """
    reach = math.ceil(3 * sigma)
    taps = torch.exp(-torch.arange(-reach, reach + 1, device=images.device).square() / (2 * sigma**2))
    taps = taps / taps.sum()
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    down = functional.conv2d(padded, taps.view(1, 1, -1, 1))
    return functional.conv2d(down, taps.view(1, 1, 1, -1))


@torch.no_grad()
def start_at_responses(network: Network, scan: ScanData) -> None:
    """Set the readout positions of a scan to those that its training trials suggest.

    Parameters
    ----------
    network
        Untrained.
    scan
        Its training trials are used; eye movements are not taken into account.
    """
    batch = scan.batch(scan.rows("train"))
    pixels = estimate_positions(batch.images, batch.responses)
    height, width = network.core.map_size(network.image_size)
    last = pixels.new_tensor([width - 1, height - 1]).clamp(min=1)
    inside = pixels - network.core.margin
    network.readout(scan.name).start_at((2 * inside / last - 1).clamp(-1, 1))


def _standardised(values: Tensor) -> Tensor:
    """(T, M) columns of mean 0 and s.d. 1; constant columns become 0."""
    centred = values - values.mean(0)
    scale = centred.square().mean(0).sqrt()
    return centred / torch.where(scale > 0, scale, torch.ones_like(scale))
